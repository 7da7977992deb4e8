"""What is said in English for what people write."""

from __future__ import annotations

import pytest

from tts.normalize import normalize

PHONES = {
    "(800) 555-0199 x204": (
        "eight hundred. five five five. zero one nine nine, extension two zero four"
    ),
    "(212) 555-0123": "two one two. five five five. zero one two three.",
    "Call 212-555-0123.": "Call two one two. five five five. zero one two three.",
    "212.555.0123": "two one two. five five five. zero one two three.",
    "2125550123": "two one two. five five five. zero one two three.",
    "+1 212 555 0123": "two one two. five five five. zero one two three.",
    "+12125550123": "two one two. five five five. zero one two three.",
    "1-800-555-0199": "one, eight hundred. five five five. zero one nine nine.",
    "555-0123 ext. 24": "five five five. zero one two three, extension two four",
    "+44 20 7946 0018": "plus four four. two zero. seven nine four six. zero zero one eight",
}
NAMES = {
    "code PROM25": "code prom, two five",
    "P.O. Box 1204": "P O box one two zero four",
    "text 48253 now": "text four eight two. five three now",
    "Order #48213": "Order number four eight two. one three",
    "invoice AB-1042": "invoice A B, one zero four two",
    "Dress no. 7731": "Dress number seven seven three one",
    "SKU 4471-B": "S K U four four seven one, B",
    "receipt no. 0058731": "receipt number zero zero five. eight seven three one",
    "code is 6094": "code is six zero nine four",
    "No. 5 is ready": "number five is ready",
    "I said no.": "I said no.",
    "the door is 6094": "the door is six zero nine four",
}
MONEY = {
    "$120/ea or 3/$300": "one hundred twenty dollars each or three for three hundred dollars",
    "<$50": "less than fifty dollars",
    "$149.50": "one hundred forty nine dollars and fifty cents",
    "$1,250.00": "one thousand two hundred fifty dollars",
    "$1": "one dollar",
    "$0.01": "one cent",
    "$50-$100": "fifty to one hundred dollars",
    "$5-10": "five to ten dollars",
    "from $99 to $899": "from ninety nine dollars to eight hundred ninety nine dollars",
    "$-12.40": "minus twelve dollars and forty cents",
    "-$12": "minus twelve dollars",
    "€12.50": "twelve euros and fifty cents",
    "£3.01": "three pounds and one penny",
    "50¢": "fifty cents",
    "20 USD": "twenty dollars",
    "$2.5 million": "two point five million dollars",
    "$5K": "five thousand dollars",
}
TIMES = {
    "9-noon": "nine to noon",
    "M-F 10-6": "Monday to Friday ten to six",
    "10:30 AM": "ten thirty A M",
    "at 4pm": "at four P M",
    "8:05 a.m. and": "eight zero five A M and",
    "until 9 p.m. Bring": "until nine P M. Bring",
    "10am-6pm": "ten A M to six P M",
    "10-6pm": "ten to six P M",
    "10:00-14:30": "ten o'clock to fourteen thirty",
    "12:00 noon": "twelve noon",
    "open 9-5": "open nine to five",
    "0:00": "midnight",
}
DATES = {
    "Sale 10/1-10/15": "Sale October first to October fifteenth",
    "the 4th of July": "the fourth of July",
    "May-June": "May to June",
    "the '90s": "the nineties",
    "the 1980s": "the nineteen eighties",
    "2026-04-18": "April eighteenth, twenty twenty six",
    "on 07/15": "on July fifteenth",
    "9/30/26": "September thirtieth, twenty twenty six",
    "June 3-5": "June third to fifth",
    "June 3rd - July 5th": "June third to July fifth",
    "Oct. 19, 2026": "October nineteenth, twenty twenty six",
    "14 June 2026": "June fourteenth, twenty twenty six",
    "Dec. 2026": "December twenty twenty six",
    "Dec 24 10-2": "December twenty fourth, ten to two",
    "you may 5 times": "you may five times",
    "Mon-Fri": "Monday to Friday",
    "Tue 3/9": "Tuesday March ninth",
    "See you Sat!": "See you Saturday!",
    "We sat in the sun.": "We sat in the sun.",
}
QUANTITIES = {
    "20%": "twenty percent",
    "8.25%": "eight point two five percent",
    "10-20%": "ten to twenty percent",
    "the 21st": "the twenty first",
    "1st-3rd": "first to third",
    "size 7 1/2": "size seven and a half",
    "9½": "nine and a half",
    "3/4 inch": "three quarters inch",
    "1/2 off": "one half off",
    "2.5 yards": "two point five yards",
    "108 in. long": "one hundred eight inches long",
    "5'4\" tall": "five feet four inches tall",
    "34x32": "thirty four by thirty two",
    "72°F": "seventy two degrees",
    "1,500 gowns": "one thousand five hundred gowns",
    "2400 gowns": "two thousand four hundred gowns",
    "in 2027": "in twenty twenty seven",
    "３ gowns": "three gowns",
    "1️⃣": "one",
}
PLACES = {
    "Call Dr. Smith or visit St. Louis.": "Call Doctor Smith or visit Saint Louis.",
    "1420 Main St. Parking is free.": "fourteen twenty Main Street. Parking is free.",
    "Springfield, IL 62704": "Springfield, Illinois six two seven. zero four",
    "1420 Main St., next": "fourteen twenty Main Street, next",
    "305 W. 42nd Street": "three zero five West forty second Street",
    "86 Oak Ave, Suite 200": "eighty six Oak Avenue, Suite two hundred",
    "915 River Dr, Apt 6": "nine fifteen River Drive, Apartment six",
    "Dr. Sample": "Doctor Sample",
    "St. Louis": "Saint Louis",
}
WORDS = {
    "7pm => 8pm": "seven P M, eight P M",
    "J.R. Sample": "J R Sample",
    "reply Y/N": "reply Y or N",
    "appt w/ Kate": "appointment with Kate",
    "b/w 1 and 2": "between one and two",
    "Mr. and Mrs. Sample": "Mister and Missus Sample",
    "Maria & Sophie": "Maria and Sophie",
    "DON'T FORGET": "don't forget",
    "your ID": "your I D",
    "SALE": "sale",
    "U.S.A. today": "U S A today",
    "www.example.com": "example dot com",
    "https://example.com/show?x=1": "example dot com slash show",
    "hello@example.com": "hello at example dot com",
    "#SampleBride": "hashtag Sample Bride",
    'the "one"!!!': "the one!",
    "a (small) thing": "a, small, thing",
    "one\ntwo": "one. two",
    "Done.\r\nNext": "Done. Next",
    "ready 👗🎉": "ready",
    "I <3 it :)": "I it",
    "Zoë's café": "Zoe's cafe",
}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        pair
        for table in (PHONES, NAMES, MONEY, TIMES, DATES, QUANTITIES, PLACES, WORDS)
        for pair in table.items()
    ],
)
def test_what_is_said(written: str, said: str) -> None:
    """What people write is said as they would say it."""
    assert normalize(written).rstrip(".") == said.rstrip(".")
