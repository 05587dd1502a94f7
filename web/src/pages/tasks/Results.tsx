import { Alert, Button, Code, Group, Paper, Skeleton, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useMemo } from "react";
import { inputQuery, type RawJson, resultQuery } from "../../api/queries/tasks";
import type { Task } from "../../api/queries/taskTypes";
import { Copy, Json } from "../../ui/Json";
import { Problem } from "../../ui/Problem";
import { save } from "../../ui/save";
import { Shaped } from "./Shaped";
import { losesDigits, shapeOf, toCsv } from "./shapes";

function Card({ title, actions, children }: { title: string; actions?: ReactNode; children: ReactNode }) {
  return (
    <Paper component="section" aria-label={title} withBorder p="md">
      <Stack gap="sm">
        <Group justify="space-between" mih={30}>
          <Title order={2} size="h4">
            {title}
          </Title>
          <Group gap="xs">{actions}</Group>
        </Group>
        {children}
      </Stack>
    </Paper>
  );
}

/** The result of an ended task: table, chart or JSON, by its shape. */
export function ResultView({ task }: { task: Task }) {
  const there = task.status === "succeeded" && !task.dropped_at;
  const query = useQuery({ ...resultQuery(task.id), enabled: there });
  const shape = useMemo(() => query.data && shapeOf(query.data.value), [query.data]);
  if (task.status !== "succeeded") return null;
  const name = `${task.kind}-${task.id}`;
  return (
    <Card
      title="Result"
      actions={
        query.data && (
          <>
            {shape?.kind !== "json" && <Copy text={query.data.text} />}
            {shape?.kind === "tables" &&
              shape.tables.map((t) => (
                <Button
                  key={t.name}
                  size="xs"
                  variant="default"
                  onClick={() => save(`${name}${t.name && `-${t.name}`}.csv`, toCsv(t), "text/csv")}
                >
                  Download {t.name} CSV
                </Button>
              ))}
            <Button
              size="xs"
              variant="default"
              onClick={() => save(`${name}.json`, query.data.text, "application/json")}
            >
              Download JSON
            </Button>
          </>
        )
      }
    >
      {task.dropped_at && <Text c="dimmed">The result was deleted after the time it is kept.</Text>}
      <Problem error={query.error} retry={() => void query.refetch()} />
      {there && query.isPending && <Skeleton height={80} />}
      {query.data &&
        shape &&
        (losesDigits(query.data.text) ? (
          <Exact raw={query.data} />
        ) : (
          <Shaped shape={shape} raw={query.data} />
        ))}
    </Card>
  );
}

/** JSON with whole numbers that a browser would round: shown as it came. */
function Exact({ raw }: { raw: RawJson }) {
  return (
    <>
      <Alert color="blue" variant="light" styles={{ message: { color: "var(--mantine-color-text)" } }}>
        Some numbers are too long for a browser to compute with; they are shown as they came.
      </Alert>
      <Plain text={raw.text} maxHeight={420} />
    </>
  );
}

const shownChars = 200_000; // of text that is shown whole; the download has all

function Plain({ text, maxHeight }: { text: string; maxHeight: number }) {
  return (
    <Code
      block
      mah={maxHeight}
      style={{ overflow: "auto", whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}
      tabIndex={0}
    >
      {text.slice(0, shownChars)}
    </Code>
  );
}

/** What the task was given. */
export function InputView({ task }: { task: Task }) {
  const query = useQuery({ ...inputQuery(task.id), enabled: !task.dropped_at });
  return (
    <Card
      title="Input"
      actions={
        query.data && (
          <Button
            size="xs"
            variant="default"
            onClick={() => save(`${task.kind}-${task.id}-input.json`, query.data.text, "application/json")}
          >
            Download JSON
          </Button>
        )
      }
    >
      {task.dropped_at && <Text c="dimmed">The input was deleted after the time it is kept.</Text>}
      <Problem error={query.error} retry={() => void query.refetch()} />
      {query.isPending && !task.dropped_at && <Skeleton height={80} />}
      {query.data &&
        (query.data.text.length > shownChars || losesDigits(query.data.text) ? (
          <Plain text={query.data.text} maxHeight={300} />
        ) : (
          <Json value={query.data.value} maxHeight={300} />
        ))}
    </Card>
  );
}
