"""What a page holds so that it needs no other file: its scripts, and pictures."""

import base64
import functools
import importlib.metadata
import io

from tf_tickets.files import write_whole
from tf_tickets.lab.cache import in_cache_folder

# Bytes of a picture that stays as it is; a larger one is compressed anew.
_LARGE = 200_000


@functools.cache
def vega() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script, fit to stand in HTML.

    It is kept in the cache folder, as to put it together takes seconds.

    Raises:
        FileError: if the cache folder cannot be used.
    """
    import vl_convert

    version = importlib.metadata.version("vl-convert-python")
    with in_cache_folder("the scripts of pages") as folder:
        kept = folder / f"vega-{version}.js"
        if not kept.exists():
            write_whole(kept, vl_convert.javascript_bundle().encode())
        return kept.read_text().replace("</script", "<\\/script")


def address_of(picture: bytes) -> str:
    """Return a picture as an address that holds it.

    Args:
        picture: a PNG. A large one becomes a WebP, which looks the same.
    """
    form = "png"
    if len(picture) > _LARGE and len(smaller := _as_webp(picture)) < len(picture):
        picture, form = smaller, "webp"
    return f"data:image/{form};base64,{base64.b64encode(picture).decode()}"


def _as_webp(picture):
    import PIL.Image

    buffer = io.BytesIO()
    PIL.Image.open(io.BytesIO(picture)).save(buffer, "WEBP", quality=92)
    return buffer.getvalue()
