// Fills the {named} places of a sentence, by the same rule as portal/core/texts.py.

const PLACE = /\{([a-z_]+)\}/g;

/** `sentence` with each {name} replaced by `values[name]`. A place without a value throws: a hole is a fault of ours. */
export function format(sentence: string, values: Readonly<Record<string, string | number>>): string {
  return sentence.replace(PLACE, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`no value for {${name}}`);
    return String(value);
  });
}
