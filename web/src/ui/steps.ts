// Figures over time as points of a chart.

/** The starts of all steps of a width from one time to another, in ms. */
export function steps(from: number, to: number, width: number): number[] {
  const first = Math.floor(from / width) * width;
  return Array.from(
    { length: Math.max(0, Math.floor((to - first) / width) + 1) },
    (_, i) => first + i * width,
  );
}

const hour = 3_600_000;
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const both = new Intl.DateTimeFormat(undefined, {
  weekday: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
});

/** The start of a step in words: days are those of UTC, shorter ones the reader's; with the day where they are of several. */
export function stepLabel(t: number, width: number, span: number): string {
  if (width >= 24 * hour) return day.format(t);
  return (span > 24 * hour ? both : clock).format(t);
}
