"""What is said in Spanish and French."""

from __future__ import annotations

import pytest

from tts.normalize import UnspeakableText, normalize

SPANISH = {
    "Llame al (212) 555-0123.": ("Llame al dos uno dos. cinco cinco cinco. cero uno dos tres."),
    "el 14/06/2026 a las 10:30 AM": (
        "el catorce de junio de dos mil veintiséis a las diez y treinta de la mañana"
    ),
    "a la 1:15 pm": "a la una y quince de la tarde",
    "a las 9 pm": "a las nueve de la noche",
    "$149.50": "ciento cuarenta y nueve dólares con cincuenta centavos",
    "1.250,00 €": "mil doscientos cincuenta euros",
    "$1,250": "mil doscientos cincuenta dólares",
    "21 dólares": "veintiún dólares",
    "el 1 de julio": "el primero de julio",
    "talla 6 1/2": "talla seis y medio",
    "3er piso": "tercer piso",
    "2ª prueba": "segunda prueba",
    "lun-vie": "lunes a viernes",
    "de lun a vie, 9-17 h": "de lunes a viernes, nueve a diecisiete",
    "El mar está lejos, el mar 3 no": "El mar está lejos, el martes tres no",
    "21 días, 21 damas": "veintiún días, veintiuna damas",
    "$25/día": "veinticinco dólares por día",
    "100 USD/mes": "cien dólares por mes",
    "3 x $50": "tres veces cincuenta dólares",
    "$500 - $200": "quinientos dólares menos doscientos dólares",
    "a las 12pm": "a las doce del mediodía",
    "largo 36 in, talla 8": "largo treinta y seis pulgadas, talla ocho",
    "Av. Juárez 1420": "avenida Juárez mil cuatrocientos veinte",
    "El Sr. Muestra": "El señor Muestra",
    "¡Hola! ¿Listo?": "Hola! Listo?",
    "hola@example.com": "hola arroba example punto com",
}
FRENCH = {
    "Appelez le 01 23 45 67 89.": (
        "Appelez le zéro un. deux trois. quatre cinq. six sept. huit neuf."
    ),
    "le 14/06/2026 à 10h30": "le quatorze juin deux mille vingt six à dix heures trente",
    "10h-18h": "dix heures à dix huit heures",
    "sam 10h-16h": "samedi dix heures à seize heures",
    "Fermé le dim.": "Fermé le dimanche.",
    "le jeu, la mer": "le jeu, la mer",
    "25 $/jour": "vingt cinq dollars par jour",
    "3 x 50 $": "trois fois cinquante dollars",
    "500 $ - 200 $": "cinq cents dollars moins deux cents dollars",
    "12 pm": "midi",
    "149,50 $": "cent quarante neuf dollars et cinquante cents",
    "1 250,00 €": "mille deux cent cinquante euros",
    "le 1er juillet": "le premier juillet",
    "taille 6 1/2": "taille six et demi",
    "La 2e robe": "La deuxième robe",
    "20 % de rabais": "vingt pour cent de rabais",
    "25 rue Principale": "vingt cinq rue Principale",
    "Mme Modèle": "madame Modèle",
    "Commande no 48213": "Commande numéro quatre huit deux. un trois",
    "l'été, déjà": "l'été, déjà",
}


@pytest.mark.parametrize(("written", "said"), SPANISH.items())
def test_spanish(written: str, said: str) -> None:
    """Spanish keeps its accents, and its day comes before the month."""
    assert normalize(written, "es") == said


@pytest.mark.parametrize(("written", "said"), FRENCH.items())
def test_french(written: str, said: str) -> None:
    """French keeps its accents; a comma may part decimals, a space thousands."""
    assert normalize(written, "fr") == said


def test_a_region_may_follow_the_language() -> None:
    """en-US is English, es-MX Spanish."""
    assert normalize("3", "en-US") == "three"
    assert normalize("3", "es-MX") == "tres"


def test_an_unknown_language_is_refused_with_those_that_are_known() -> None:
    """The error names what may be given."""
    with pytest.raises(UnspeakableText, match="en, es, fr"):
        normalize("drei", "de")
