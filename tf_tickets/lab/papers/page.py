"""The page of a paper: each claim and figure beside what the paper says and shows."""

from tf_tickets.lab.commands.repeat import command_of_reproduction
from tf_tickets.lab.papers.claims import AGREES, DISAGREES, UNDECIDED
from tf_tickets.lab.show.page.charts import metric_chart
from tf_tickets.lab.show.page.charts.points import metric_points
from tf_tickets.lab.show.page.document import (
    Code,
    Document,
    Drawing,
    Items,
    Numbers,
    Picture,
    Section,
    Text,
)
from tf_tickets.lab.show.planned import claims_table
from tf_tickets.lab.show.words import interval

_READ = (
    "Point at a mark to read it; a click in the legend switches a curve off. Marks are means over "
    "the seeds, bars one standard deviation."
)


def page_of_paper(made) -> Document:
    """Return the page of what was made of a paper.

    Args:
        made: a `Reproduction`.
    """
    paper, scale = made.paper, made.scale
    exhibits = [exhibit for exhibit in paper.exhibits if exhibit.name in made.shown]
    command = command_of_reproduction(paper, made.shown, scale)
    return Document(
        title=f"{paper.title}: a reproduction",
        lead=f"{paper.citation}. {_count(made.findings)} Scale {scale.name}: {scale.title}.",
        sections=[
            Section("What became of the claims", _claims(made), "Claims"),
            *(
                Section(exhibit.title, _exhibit(made, exhibit), _short(exhibit))
                for exhibit in exhibits
            ),
            Section("What stands in for what", [Items(list(_stand_ins(scale)))], "Scale"),
            Section("The command that repeats it", [Code(command)], "Command"),
        ],
        note=f"Written from run folders alone: {len(made.runs)} runs.",
    )


def _count(findings):
    answers = [found.answer for found in findings.values()]
    if not answers:
        return "No claim could be tested by these figures."
    return (
        f"Of {len(answers)} claims {answers.count(AGREES)} agree with the runs, "
        f"{answers.count(DISAGREES)} do not, and {answers.count(UNDECIDED)} are undecided."
    )


def _claims(made):
    if not made.findings:
        return [Text("None of the claims hangs on these figures alone.")]
    claims = {claim.name: claim for claim in made.paper.claims}
    told = [_sentence(made, claims[name], found) for name, found in made.findings.items()]
    return [Items(told), Numbers(claims_table(made.paper, made.findings), marked=AGREES)]


def _sentence(made, claim, found):
    deciding = [exhibit.name for exhibit in made.paper.deciding(claim)]
    command = command_of_reproduction(made.paper, deciding, made.scale)
    shown = interval(found.mean, found.low, found.high)
    needed = f" {found.seeds_needed} seeds would decide it." if found.seeds_needed else ""
    return (
        f"{found.answer.capitalize()}: {claim.says} ({claim.where}) {shown} of {len(found.seeds)} "
        f"seeds, asked to be above {found.margin:g}; {found.statistic}.{needed} "
        f"Command: {command}"
    )


def _exhibit(made, exhibit):
    shown = made.shown[exhibit.name]
    parts = [Text(f"The paper: {exhibit.shows}")]
    picture = shown.picture and shown.picture.read_bytes()
    if shown.charts:
        parts += _charts(exhibit, shown.charts, picture)
    elif picture:
        parts.append(Picture(picture, f"{exhibit.title}, as drawn here"))
    return [*parts, *(Numbers(table) for table in shown.tables)]


def _charts(exhibit, charts, picture):
    for number, (title, quantity, curves) in enumerate(charts):
        points = metric_points(curves, [quantity], sparsity="network_sparsity")
        spec = metric_chart(
            curves,
            points,
            quantity,
            x="the network's weights removed",
            description=f"{exhibit.title}; {title}: {quantity} against network sparsity",
        )
        yield Section(
            title,
            [Drawing(f"{exhibit.name}-{number}", spec, _READ, None if number else picture)],
        )


def _short(exhibit):
    return exhibit.title.partition(":")[0]


def _stand_ins(scale):
    for name, data in scale.data.items():
        side = data.image_size
        size = f"of {side} x {side} pixels" if side else "at the size of each model's recipe"
        words = [f"{data.dataset} {size}"]
        words += [f"at most {data.limit} images"] if data.limit else []
        yield f"{name}: {', '.join(words)}"
    yield f"{len(scale.seeds)} seeds, {scale.rounds} rounds"
