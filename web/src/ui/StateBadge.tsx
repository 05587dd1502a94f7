import { Badge } from "@mantine/core";
import type { Icon } from "@tabler/icons-react";

interface Props {
  colour: string; // of the theme
  icon: Icon; // tells it without the colour
  label: string;
}

/** A state as a word with a colour and a sign. */
export function StateBadge({ colour, icon: Sign, label }: Props) {
  const dark = `color-mix(in srgb, var(--mantine-color-${colour}-9) 70%, black)`;
  return (
    <Badge
      variant="light"
      color={colour}
      c={`light-dark(${dark}, var(--mantine-color-${colour}-1))`}
      leftSection={<Sign size={12} aria-hidden />}
      tt="none"
      display="grid"
      miw="max-content"
    >
      {label}
    </Badge>
  );
}
