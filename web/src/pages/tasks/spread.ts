/** At most so many points of a list: of each stretch its smallest and its largest number, in their order. */
export function spread(numbers: number[], most: number): { index: number; value: number }[] {
  const all = numbers.map((value, index) => ({ index, value }));
  if (all.length <= most) return all;
  const stretch = Math.ceil(all.length / (most / 2));
  const points: typeof all = [];
  for (let i = 0; i < all.length; i += stretch) {
    const part = all.slice(i, i + stretch).sort((a, b) => a.value - b.value);
    const ends = [part[0], part.at(-1)].filter((p) => p !== undefined);
    points.push(...[...new Set(ends)].sort((a, b) => a.index - b.index));
  }
  return points;
}
