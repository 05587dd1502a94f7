import { Card, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";

interface Props {
  title: string;
  fact: string; // what the chart shows, in words
  children: ReactNode; // the chart
}

/** A chart in a card. It repeats what stands in words, so readers of the screen pass it over. */
export function Figure({ title, fact, children }: Props) {
  return (
    <Card withBorder component="section" aria-label={title}>
      <Title order={2} size="h5">
        {title}
      </Title>
      <Text size="sm" c="dimmed" mb="sm">
        {fact}
      </Text>
      <div aria-hidden>{children}</div>
    </Card>
  );
}

/** For a chart in a Figure: it takes no focus. */
export const still = { accessibilityLayer: false };
