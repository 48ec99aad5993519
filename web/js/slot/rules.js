const ORDER = ["auto", "OFF", "BLOCK_NONE", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE",
  "BLOCK_LOW_AND_ABOVE", "512", "1K", "2K", "4K", "low", "medium", "high", "xhigh", "max"];

/** The rules of an operation's settings, by name, out of its JSON Schema: `type`, `enum`, limits,
 * `default`, and whether a setting `isRequired` or may be left empty. */
export function rulesOf(schema) {
  const { properties, required = [] } = schema.$ref ? schema.$defs[schema.$ref.split("/").at(-1)] : schema;
  return new Map(
    Object.entries(properties).map(([name, property]) => [name, rule(property, required.includes(name))]),
  );
}

function rule(property, isRequired) {
  const main = property.anyOf?.find((one) => one.type !== "null") ?? property;
  const isNullable = Boolean(property.anyOf?.some((one) => one.type === "null"));
  return { ...property, ...main, enum: main.enum && [...main.enum].sort(byOrder), isRequired, isNullable };
}

/** Whether a value may stay when another operation's rules come into force. */
export function fits(value, rule) {
  if (value === undefined) return false;
  if (value === null) return rule.isNullable;
  if (rule.enum) return rule.enum.includes(value);
  if (rule.type === "integer" || rule.type === "number") return isWithin(value, rule);
  if (rule.type === "boolean") return typeof value === "boolean";
  if (rule.pattern && !new RegExp(rule.pattern, "u").test(value)) return false;
  return typeof value === "string";
}

/** Settings without those that say what holds anyway, so that two ways to say the same are equal. */
export function trimmed(settings, rules) {
  const kept = Object.entries(settings).filter(([name, value]) => value !== rules.get(name)?.default);
  return Object.fromEntries(kept);
}

function isWithin(value, { minimum = -Infinity, maximum = Infinity }) {
  return typeof value === "number" && value >= minimum && value <= maximum;
}

function byOrder(a, b) {
  return rank(a) - rank(b) || String(a).localeCompare(String(b));
}

/** Shapes from tall to wide; words in the order people count them in. */
function rank(option) {
  const [width, height] = String(option).split(":").map(Number);
  return height ? width / height : ORDER.indexOf(option);
}
