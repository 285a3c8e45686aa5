for (const chart of document.querySelectorAll(".chart")) {
  const spec = JSON.parse(document.getElementById(chart.dataset.spec).textContent);
  // `ast` lets expressions be read, and not compiled, which the page's policy forbids.
  // A chart whose curves are all switched off is worth no warning: 1 is for errors alone.
  const bind = chart.dataset.controls;
  const options = { actions: false, ast: true, bind, logLevel: 1, renderer: "svg" };
  vegaEmbed(chart, spec, options).catch((error) => {
    chart.textContent = "This chart could not be drawn: " + error.message;
  });
}
