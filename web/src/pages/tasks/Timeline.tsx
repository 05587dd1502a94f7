import { Timeline as Line, Paper, Skeleton, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { timelineQuery } from "../../api/queries/tasks";
import type { Task } from "../../api/queries/taskTypes";
import { duration } from "../../ui/format";
import { Problem } from "../../ui/Problem";
import { tell } from "./words";

const exact = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium",
  timeStyle: "medium",
});
const colours = { plain: "gray", good: "green", bad: "red", warn: "orange" };

/** All that happened to a task, in words and with exact times. */
export function Timeline({ task }: { task: Task }) {
  const query = useQuery(timelineQuery(task.id));
  const entries = query.data ?? [];
  return (
    <Paper component="section" aria-label="What happened" withBorder p="md">
      <Stack gap="md">
        <Title order={2} size="h4">
          What happened
        </Title>
        <Problem error={query.error} retry={() => void query.refetch()} />
        {query.isPending && <Skeleton height={120} />}
        <Line bulletSize={14} lineWidth={2} active={entries.length} role="list">
          {entries.map((e, i) => {
            const told = tell(e);
            const before = entries[i - 1];
            const since = before ? Date.parse(e.at) - Date.parse(before.at) : 0;
            return (
              <Line.Item
                key={`${e.at} ${e.event} ${i}`}
                role="listitem"
                color={colours[told.tone]}
                title={told.title}
              >
                {told.detail && (
                  <Text size="sm" style={{ overflowWrap: "anywhere" }}>
                    {told.detail}
                  </Text>
                )}
                <Text size="sm" c="dimmed" className="numbers">
                  <time dateTime={e.at}>
                    {exact.format(new Date(e.at))}.{e.at.slice(20, 23)}
                  </time>
                  {since > 0 && `, ${duration(since)} later`}
                </Text>
              </Line.Item>
            );
          })}
        </Line>
      </Stack>
    </Paper>
  );
}
