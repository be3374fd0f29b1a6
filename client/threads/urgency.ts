// Whether words sound like an emergency. Runs on this device before anything is sent, in English and Spanish at once, whatever
// the page's language. It would rather ask once too often: whoever writes can always send all the same.

/** What was found: the kind decides which numbers come first. */
export type Urgency = "emergency" | "poison" | "crisis";

interface Sign {
  readonly kind: Urgency;
  readonly words: RegExp;
  /** The words hold a negation of their own ("cannot breathe"): one before them takes nothing back. */
  readonly ownNegation?: true;
}

/** All patterns read text without accents and apostrophes, in lower case, within one clause. */
const SIGNS: readonly Sign[] = [
  { kind: "emergency", words: /\b(chest|breastbone) (is )?(\w+ )?(pain|pains|pressure|tightness|hurts|hurting|aches)\b|\b(pain|pressure|tightness) (\w+ )?(in|on|across) (my|his|her|the) chest\b|\btight chest\b/ },
  { kind: "emergency", words: /\b(dolor|presion|opresion|punzada)s? (fuerte )?(en|de) (el |mi )?pecho\b|\bme duele (mucho )?el pecho\b|\bpecho apretado\b/ },
  { kind: "emergency", ownNegation: true, words: /\b(cant|cannot|can not|cant hardly|can hardly|can barely|unable to|not able to|couldnt|struggling to) (breathe|breath|catch my breath|get (any )?air|swallow)\b|\bhard to (breathe|get (any )?air)\b/ },
  { kind: "emergency", ownNegation: true, words: /\bno (puedo|puede|logro|consigo) (respirar|tragar|tomar aire)\b|\bapenas (puedo|puede) respirar\b|\bme (falta|esta faltando) (el )?aire\b|\bme ahogo\b|\bse ahoga\b/ },
  { kind: "emergency", words: /\b(trouble|difficulty|problems?) breathing\b|\bshort(ness)? of breath\b|\bgasping\b|\bchoking\b|\bstopped breathing\b|\bturning blue\b/ },
  { kind: "emergency", words: /\b(dificultad|dificultades|problemas?) (para|al) respirar\b|\bfalta de aire\b|\bdejo de respirar\b/ },
  { kind: "emergency", words: /\b(swell(ing|ed)?|swollen|puffy|puffed)( \w+){0,4} (face|lips?|tongue|throat|eyes|mouth)\b|\b(face|lips?|tongue|throat|mouth)( \w+){0,4} (swell(ing|ed|s)?|swollen|closing|closed up|puffy)\b/ },
  { kind: "emergency", words: /\b(hinchad[oa]s?|hinchazon|inflamad[oa]s?|hinch(a|an|o|aron|ando))( \w+){0,4} (cara|labios?|lengua|garganta|boca|ojos)\b|\b(cara|labios?|lengua|garganta|boca)( \w+){0,4} (hinchad[oa]s?|hincha(n|ndo)?|inflamad[oa]s?|cierra|cerrando)\b/ },
  { kind: "emergency", words: /\banaphyla\w+|\banafila\w+|\ballergic shock\b|\bshock alergico\b|\bsevere allergic reaction\b|\breaccion alergica (grave|fuerte|severa)\b/ },
  { kind: "emergency", words: /\bpass(ed|ing) out\b|\bfaint(ed|ing)\b|\bunconscious\b|\bcollapsed?\b|\bwont wake up\b|\bseizures?\b|\bconvulsions?\b|\bcannot wake\b/ },
  { kind: "emergency", words: /\bdesmay\w+|\bperdi(o)? (el conocimiento|la conciencia)\b|\binconsciente\b|\bconvulsion(es)?\b|\bno (se )?despierta\b/ },
  { kind: "emergency", words: /\b(having|had|think its|signs of) a? ?(stroke|heart attack)\b|\bheart attack\b|\bface (is )?droop\w+|\bslurred speech\b|\bone side (of my body )?(is )?(numb|weak)\b/ },
  { kind: "emergency", words: /\binfarto\b|\bataque (al corazon|cardiaco)\b|\bderrame cerebral\b|\bcara (caida|torcida)\b|\bno puedo hablar bien\b/ },
  { kind: "emergency", words: /\b(vomit(ing|ed)?|throwing up|coughing up|spitting) (up )?blood\b|\bblack (and tarry |tarry )?stools?\b|\b(bleeding|blood)( \w+){0,3} (wont|will not|doesnt|does not|not) stop\w*|\bbleeding (a lot|heavily|badly)\b/ },
  { kind: "emergency", words: /\b(vomit\w+|escup\w+|tos\w+) (con )?sangre\b|\bheces negras\b|\bsangr\w+ (mucho|sin parar)\b|\bno (para|deja) de sangrar\b/ },
  { kind: "poison", words: /\boverdos\w+|\bpoison(ed|ing)\b|\b(took|taken|swallowed|drank|ate) (way )?too (many|much)\b|\b(took|swallowed|ate) (all|the whole|a whole|the entire) (of )?(my |the )?(pills|tablets|bottle|box|pack)\b/ },
  { kind: "poison", words: /\bsobredosis\b|\bintoxica\w+|\benvenena\w+|\b(tome|tomo|tomado|trague|trago|tragado) (demasiad[oa]s?|tod[oa]s? (las|los|el|la) (pastillas|tabletas|comprimidos|frasco|caja))\b/ },
  { kind: "poison", words: /\b(child|baby|toddler|son|daughter|kid|grandson|granddaughter)( \w+){0,3} (swallowed|ate|took|got into|drank)\b|\b(nin[oa]|bebe|hij[oa]|niet[oa])( \w+){0,3} (trago|comio|tomo|bebio)\b/ },
  { kind: "crisis", words: /\bsuicid\w+|\bkill (myself|himself|herself)\b|\bend (my|his|her) life\b|\bhurt myself\b|\bharm myself\b|\bself harm\b|\bbetter off dead\b|\bwant to die\b/ },
  { kind: "crisis", words: /\bmatarme\b|\bquitarme la vida\b|\bhacerme dano\b|\bquiero morir(me)?\b|\bacabar con mi vida\b/ },
  { kind: "crisis", ownNegation: true, words: /\b(dont|do not) want to (live|be alive|wake up)\b|\bno quiero (vivir|seguir viviendo|despertar)\b/ },
];

/** So many tablets at one time and more raise the card. */
const MANY_TABLETS = 6;
const TABLETS = "pills?|tablets?|tabs?|capsules?|caplets?|pastillas?|tabletas?|comprimidos?|capsulas?";
const COUNTED = new RegExp(`\\b(took|taken|swallowed|ate|had|tome|tomo|tomado|trague|trago|tragado)( \\w+){0,2}? (\\d+|[a-z]+)( \\w+){0,3}? (${TABLETS})\\b`);
const NUMBERS: Readonly<Record<string, number>> = {
  six: 6, seven: 7, eight: 8, nine: 9, ten: 10, eleven: 11, twelve: 12, fifteen: 15, twenty: 20, thirty: 30, forty: 40, fifty: 50, hundred: 100, dozen: 12,
  seis: 6, siete: 7, ocho: 8, nueve: 9, diez: 10, once: 11, doce: 12, quince: 15, veinte: 20, treinta: 30, cuarenta: 40, cincuenta: 50, cien: 100, docena: 12,
};

const NEGATION = /\b(no|not|never|without|denies|deny|dont|doesnt|didnt|isnt|arent|wasnt|havent|hasnt|hadnt|aint|none|sin|nunca|ni|tampoco|niego|niega|ningun|ninguna)\b/;
/** What ends the reach of a negation: a new thought. "or" and "ni" go on with it. */
const NEW_THOUGHT = /\b(but|and|however|although|though|because|now|then|pero|y|aunque|sino|porque|ahora)\b/;
/** A negation reaches this many words. */
const REACH = 6;

/** The most pressing thing that the words say; null when they say nothing of the kind. */
export function urgencyOf(text: string): Urgency | null {
  const found = new Set<Urgency>();
  for (const clause of clauses(text)) {
    for (const sign of SIGNS) {
      for (const hit of clause.matchAll(new RegExp(sign.words, "g"))) {
        if (sign.ownNegation === true || !negated(clause.slice(0, hit.index))) found.add(sign.kind);
      }
    }
    if (manyTablets(clause)) found.add("poison");
  }
  return (["crisis", "poison", "emergency"] as const).find((kind) => found.has(kind)) ?? null;
}

/** Lower case, without accents and apostrophes, cut where a sentence or a part of it ends. */
function clauses(text: string): string[] {
  const plain = text.toLowerCase().normalize("NFD").replace(/\p{Mn}/gu, "").replace(/['’`´]/g, "");
  return plain.split(/[.,;:!?¡¿\n()]+/).map((one) => one.replace(/[^a-z0-9]+/g, " ").trim()).filter((one) => one !== "");
}

function negated(before: string): boolean {
  const reach = before.trim().split(" ").slice(-REACH).join(" ");
  const lastThought = [...reach.matchAll(new RegExp(NEW_THOUGHT, "g"))].at(-1);
  const here = lastThought === undefined ? reach : reach.slice(lastThought.index + lastThought[0].length);
  return NEGATION.test(here);
}

function manyTablets(clause: string): boolean {
  for (let rest = clause; ;) {
    const hit = COUNTED.exec(rest);
    if (hit === null) return false;
    const numbers = hit[0].split(" ").map((word) => (/^\d+$/.test(word) ? Number(word) : NUMBERS[word] ?? 0));
    // "took 500 mg in 2 tablets" counts tablets, not milligrams.
    const strengths = new Set([...hit[0].matchAll(/(\d+) (mg|mcg|g|ml|units?)\b/g)].map((one) => Number(one[1])));
    if (numbers.some((count) => count >= MANY_TABLETS && !strengths.has(count)) && !negated(rest.slice(0, hit.index))) return true;
    rest = rest.slice(hit.index + hit[0].length);
  }
}
