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
    "a las 10:30 a. m.": "a las diez y treinta de la mañana.",
    "a las 12 h": "a las doce horas",
    "en 24 h": "en veinticuatro horas",
    "en 2 hrs": "en dos horas",
    "9:00-18:00 h": "nueve en punto a dieciocho horas",
    "15 hs": "quince horas",
    "a las 13:00 horas": "a las trece horas",
    "sáb 10-14, dom cerrado": "sábado diez a catorce, domingo cerrado",
    "L-V 10-18": "lunes a viernes diez a dieciocho",
    "vie 4 dic 18:00": "viernes cuatro de diciembre dieciocho horas",
    "el 21 de mayo": "el veintiuno de mayo",
    "el 1 de dic. y el 31 de enero": "el primero de diciembre y el treinta y uno de enero",
    "1-3 de julio": "primero a tres de julio",
    "Tel. 91 123 45 67": "teléfono nueve uno. uno dos tres. cuatro cinco. seis siete",
    "612 345 678": "seis uno dos. tres cuatro cinco. seis siete ocho",
    "55 1234 5678": "cinco cinco. uno dos tres cuatro. cinco seis siete ocho",
    "Su código es 482 913": "Su código es cuatro ocho dos, nueve uno tres",
    "Código de verificación: 482 913": "Código de verificación, cuatro ocho dos, nueve uno tres",
    "1 000 invitados": "mil invitados",
    "200 personas, 500 blusas": "doscientas personas, quinientas blusas",
    "1 vez": "una vez",
    "2x1 en velos": "dos por uno en velos",
    "1 de cada 21": "uno de cada veintiuno",
    "1/2 precio, 1/2 hora": "medio precio, media hora",
    "manga 3/4": "manga tres cuartos",
    "$500 MXN": "quinientos pesos",
    "US$500": "quinientos dólares",
    "$15 c/u": "quince dólares cada uno",
    "15 $/h": "quince dólares por hora",
    "C/ Mayor 5, 2.º B, 3º izq.": "calle Mayor cinco, segundo B, tercero izquierda.",
    "C.P. 06000, EE. UU.": "código postal cero seis cero. cero cero, Estados Unidos",
    "Blvd. Muestra 12, Of. 3": "bulevar Muestra doce, oficina tres",
    "3.er piso, 1a prueba": "tercer piso, primera prueba",
    "p. ej. velo y/o tiara": "por ejemplo velo y o tiara",
    "x favor, s/n": "por favor, sin número",
    "05.12.2026": "cinco de diciembre de dos mil veintiséis",
    "a las 17.30 h": "a las diecisiete y treinta",
    "a las 17.30": "a las diecisiete y treinta",
    "a la 1, a las 21": "a la una, a las veintiuna",
    "a la 1 p. m.": "a la una de la tarde.",
    "a las 21 h": "a las veintiuna horas",
    "1.000.000 €": "un millón de euros",
    "$1'250.00": "mil doscientos cincuenta dólares",
    "93 123 45 67 / 612 345 678": (
        "nueve tres. uno dos tres. cuatro cinco. seis siete. seis uno dos. tres cuatro cinco."
        " seis siete ocho"
    ),
    "Llame al 91.123.45.67": "Llame al nueve uno. uno dos tres. cuatro cinco. seis siete",
    "(55) 1234-5678": "cinco cinco. uno dos tres cuatro. cinco seis siete ocho",
    "1ºA, 3º izda.": "primero A, tercero izquierda.",
    "mod. 2199, col. marfil": "modelo dos uno nueve nueve, color marfil",
    "Col. Roma": "colonia Roma",
    "Vd., Sto. Domingo, núms. 3 y 4": "usted, santo domingo, números tres y cuatro",
    "11/dic, 12-dic-2026": "once de diciembre, doce de diciembre dos mil veintiséis",
    "Sr(a). Modelo": "señor o señora Modelo",
    "el 3 y 4 de ago.": "el tres y cuatro de agosto.",
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
    "à 12 h": "à douze heures",
    "à 12 h 30": "à douze heures trente",
    "sous 48h": "sous quarante huit heures",
    "dim fermé": "dimanche fermé",
    "Ouvert sam. et dim.": "Ouvert samedi et dimanche.",
    "L-V 9h-17h": "lundi à vendredi neuf heures à dix sept heures",
    "le 1 mai": "le premier mai",
    "le 5 déc. à 14h": "le cinq décembre à quatorze heures",
    "du 1er au 3 juil.": "du premier au trois juillet.",
    "1er-3 mai": "premier à trois mai",
    "20 $ - 30 $": "vingt à trente dollars",
    "50 $ CAD": "cinquante dollars",
    "15 $/h, 99 € / mois": "quinze dollars par heure, quatre vingt dix neuf euros par mois",
    "15 $ ch.": "quinze dollars chacun",
    "1re séance, 1ère fois": "première séance, première fois",
    "la 3ième robe": "la troisième robe",
    "1/2 prix, 1/4 d'heure": "demi prix, un quart d'heure",
    "1 voile, 1 essayage, 1 fois": "un voile, un essayage, une fois",
    "1m65": "un mètre soixante cinq",
    "5 pi 4 po": "cinq pieds quatre pouces",
    "24h/24, 7j/7": "vingt quatre heures sur vingt quatre, sept jours sur sept",
    "boul. St-Laurent, app. 4B": "boulevard Saint Laurent, appartement quatre B",
    "Montréal H2X 1Y4": "Montréal H deux X, un Y quatre",
    "rue Ste-Catherine": "rue Sainte Catherine",
    "Votre code est le 482 913": "Votre code est le quatre huit deux, neuf un trois",
    "1 000 robes": "mille robes",
    "S.V.P., p. ex., c.-à-d.": "s'il vous plaît, par exemple, c'est à dire",
    "robe et/ou voile, 4 pers.": "robe et ou voile, quatre personnes.",
    "example.com/rdv": "example point com barre oblique R D V",
    "05.12.2026": "cinq décembre deux mille vingt six",
    "1 000 000 €": "un million de euros",
    "3 x 2 m": "trois par deux mètres",
    "av. 17h, ap. 19h": "avant dix sept heures, après dix neuf heures",
    "Bât. B, 2e ét.": "bâtiment B, deuxième étage.",
    "n°s 3 et 4": "numéro trois et quatre",
    "5/déc. à 9h, 6/déc/2026": "cinq décembre à neuf heures, six décembre deux mille vingt six",
    "Rép. OUI": "répondez oui",
    "1 001,50 €": "mille un euros et cinquante centimes",
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
