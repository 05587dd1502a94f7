import { Button, Code, CopyButton, Group, Stack } from "@mantine/core";
import { useMemo } from "react";

/** A value as indented JSON, as text only, with a button that copies it. Tall ones scroll. */
export function Json({ value, maxHeight = 420 }: { value: unknown; maxHeight?: number }) {
  const text = useMemo(() => JSON.stringify(value, null, 2) ?? "null", [value]);
  return (
    <Stack gap="xs">
      <Code block mah={maxHeight} style={{ overflow: "auto" }} tabIndex={0}>
        {text}
      </Code>
      <Group justify="flex-end">
        <Copy text={text} />
      </Group>
    </Stack>
  );
}

/** A button that copies the text. */
export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  return (
    <CopyButton value={text}>
      {({ copied, copy }) => (
        <Button size="xs" variant="default" onClick={copy} miw={80}>
          {copied ? "Copied" : label}
        </Button>
      )}
    </CopyButton>
  );
}
