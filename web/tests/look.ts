import AxeBuilder from "@axe-core/playwright";
import { expect, type Page } from "@playwright/test";

const sizes = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

// What depends on the size is checked once for each, what depends on the colours once for each scheme.
const views = [
  { size: "desktop", scheme: "light", axe: "all" },
  { size: "desktop", scheme: "dark", axe: "colours" },
  { size: "phone", scheme: "dark", axe: "all" },
  { size: "phone", scheme: "light", axe: "none" },
] as const;

/** Violations of WCAG 2.2 AA. */
async function violations(page: Page, colours: boolean): Promise<object[]> {
  // Legacy: the pages have no frames, of which the other way looks after in a page of its own.
  const axe = new AxeBuilder({ page }).setLegacyMode().options({ resultTypes: ["violations"] });
  if (colours) axe.withRules("color-contrast");
  else axe.withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]);
  const found = await axe.analyze();
  return found.violations.map((v) => ({
    id: v.id,
    nodes: v.nodes.map((n) => `${n.html} ${n.failureSummary}`),
  }));
}

/**
 * Looks at a page in both schemes and sizes: no violation of accessibility, nothing wider
 * than the screen, and pictures to look at. `waiting`: how many skeletons belong there.
 */
export async function look(page: Page, name: string, waiting = 0): Promise<void> {
  for (const { size, scheme, axe } of views) {
    const view = `${name}-${size}-${scheme}`;
    await page.setViewportSize(sizes[size]);
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await expect(page.locator(".mantine-Skeleton-root")).toHaveCount(waiting);
    await page.screenshot({ path: `screenshots/${view}.png`, fullPage: true });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    expect.soft(wide, `${view} is too wide`).toBe(false);
    if (axe !== "none") expect.soft(await violations(page, axe === "colours"), view).toEqual([]);
  }
  await page.setViewportSize(sizes.desktop);
}
