import { formatter, t } from "./i18n.js";

const UNITS = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** How long ago, in words; the nearest unit is enough. */
export function ago(moment) {
  const seconds = (new Date(moment) - Date.now()) / 1000;
  if (Math.abs(seconds) < 5) return t("time.now");
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size);
  const format = formatter("RelativeTimeFormat", { numeric: "auto", style: "short" });
  return format.format(Math.round(seconds / size), unit);
}

/** Day and time in the reader's zone. */
export function dateTime(moment) {
  const options = { dateStyle: "medium", timeStyle: "medium" };
  return formatter("DateTimeFormat", options).format(new Date(moment));
}

/** Day and time to the minute, for what nobody counts in seconds. */
export function dateAndMinute(moment) {
  const options = { dateStyle: "medium", timeStyle: "short" };
  return formatter("DateTimeFormat", options).format(new Date(moment));
}

/** Time of the day in the reader's zone. */
export function clock(moment) {
  return formatter("DateTimeFormat", { timeStyle: "medium" }).format(new Date(moment));
}
