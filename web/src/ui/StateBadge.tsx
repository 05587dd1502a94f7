import type { Icon } from "@tabler/icons-react";
import classes from "./StateBadge.module.css";

interface Props {
  colour: string; // of the theme
  icon: Icon; // tells it without the colour
  label: string;
}

/** A state as a word with a colour and a sign. Plain, as tables have it in every row. */
export function StateBadge({ colour, icon: Sign, label }: Props) {
  const dark = `color-mix(in srgb, var(--mantine-color-${colour}-9) 70%, black)`;
  return (
    <span
      className={classes.badge}
      style={{
        background: `var(--mantine-color-${colour}-light)`,
        color: `light-dark(${dark}, var(--mantine-color-${colour}-1))`,
      }}
    >
      <Sign size={12} aria-hidden />
      {label}
    </span>
  );
}
