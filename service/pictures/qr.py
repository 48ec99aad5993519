"""QR codes."""

import io

import segno

QUIET_ZONE = 4


def qr_code(text: str) -> bytes:
    """An SVG of any size that a phone's camera reads from a screen or from paper: its ground is
    white, whatever the page's is."""
    target = io.BytesIO()
    segno.make_qr(text, error="m").save(
        target, "svg", border=QUIET_ZONE, light="#fff", xmldecl=False, omitsize=True
    )
    return target.getvalue()
