import { formatter, t } from "./i18n.js";

export const number = (value) => formatter("NumberFormat").format(value);

/** 0.975 as 97.5 %; a dash for the share of nothing. */
export function percent(share) {
  if (share === null) return "–";
  const options = { style: "percent", maximumFractionDigits: share > 0.99 && share < 1 ? 1 : 0 };
  return formatter("NumberFormat", options).format(share);
}

/** Milliseconds as seconds, one decimal below a minute's worth. */
export function seconds(ms) {
  if (ms === null) return "–";
  const options = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
  return t("unit.seconds", { value: formatter("NumberFormat", options).format(ms / 1000) });
}

const SIZES = [
  [1_000_000_000, "unit.gigabytes"],
  [1_000_000, "unit.megabytes"],
  [1000, "unit.kilobytes"],
];

/** Bytes as kB, MB or GB. */
export function bytes(count) {
  const [size, unit] = SIZES.find(([size]) => count >= size) ?? SIZES.at(-1);
  const options = { maximumFractionDigits: count < 10 * size ? 1 : 0 };
  return t(unit, { value: formatter("NumberFormat", options).format(count / size) });
}

/** US dollars, to a tenth of a cent below one. */
export function dollars(amount) {
  const digits = amount < 1 ? 3 : 2;
  const options = { style: "currency", currency: "USD", minimumFractionDigits: digits, maximumFractionDigits: digits };
  return formatter("NumberFormat", options).format(amount);
}
