"""What is sent: sample texts, each with something that a wrong alphabet would show."""

from __future__ import annotations

from itertools import count

SHORT = "Your gown is ready: $20.50 @ 5 pm, \u00fcber-nice [hem_2], 5\u20ac off"
LONG = (
    "Dear Sample Customer, your gown came back from our seamstress and is ready for pickup at "
    "Sample Bridal. Please bring the shoes that you will wear, so that we can check the hem once "
    "more; the rest of 120.50\u20ac is due then, cash or card. We are open Monday to Saturday from "
    "10 am to 6 pm {Thursday until 8 pm}. See you soon!"
)
EMOJI = (
    "Congratulations \U0001f470\U0001f3fd\u200d\u2640\ufe0f! Your dress \U0001f457 arrived, and it "
    "looks wonderful \u2728\U0001f60d. Come by for a fitting whenever you like, we have champagne "
    "\U0001f942 and cake \U0001f370 for you and your bridesmaids \U0001f46d\U0001f46d. Your team "
    "of Sample Bridal \u2764\ufe0f"
)
ANSWER = "Thanks, I'll come @ 5 \u00e0 pi\u00f9 tardi, bringing 20\u20ac & [shoes]"
SPANISH = (
    "S\u00ed, ma\u00f1ana est\u00e1 a\u00fan m\u00e1s f\u00e1cil: \u00a1p\u00e1sese usted con su "
    "hermana! El vestido cuesta 5\u20ac m\u00e1s {aqu\u00ed}."
)
"""Too long for one segment of UCS-2. Its accents are in Spanish's own shift table."""

_COUNT = count(1)


def many(mark: str, count: int = 300) -> list[str]:
    """Texts that are all different."""
    return [f"{mark} {number}, 5\u20ac @ 10 am" for number in range(count)]


def unique(text: str) -> str:
    """The text with a number, so that no two tests send the same."""
    return f"{text} #{next(_COUNT)}"
