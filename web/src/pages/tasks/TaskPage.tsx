import { Anchor, Button, Group, Paper, Skeleton, Stack, Text, Title } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { Link, useNavigate, useParams } from "react-router";
import type { Log } from "../../api/queries/tasks";
import { partsQuery, taskKeys, taskQuery, useAct, useDrop } from "../../api/queries/tasks";
import { ended, type Task } from "../../api/queries/taskTypes";
import { ConfirmButton } from "../../ui/ConfirmButton";
import { Facts } from "../../ui/Facts";
import { bytes, duration } from "../../ui/format";
import { Page } from "../../ui/Page";
import { Problem } from "../../ui/Problem";
import { StatusBadge } from "../../ui/StatusBadge";
import { TimeAgo } from "../../ui/TimeAgo";
import { LogView } from "./LogView";
import { useBatches, usePatch } from "./live";
import { applyToLog, applyToParts, type Batch } from "./merge";
import { Parts } from "./Parts";
import { InputView, ResultView } from "./Results";
import { TaskProgress } from "./TaskProgress";
import { Timeline } from "./Timeline";

/** A task: how far it is, its parts, log, history, input and result. All of it is live. */
export function Component() {
  const { task: id = "" } = useParams();
  return <TaskView key={id} id={id} />;
}

const keptLines = 5000; // of the log, while the page is open; the server keeps 1,000

function useLiveTask(id: string) {
  const client = useQueryClient();
  const task = usePatch<Task>(taskKeys.one(id), (t, b) => b.patch(t));
  const parts = usePatch<Task[]>(taskKeys.parts(id), (ps, b) => applyToParts(ps, b, id));
  const log = usePatch<Log>(taskKeys.log(id), (l, b) => ({
    ...l,
    lines: applyToLog(l.lines, b.lines, keptLines),
  }));
  const take = (b: Batch) => {
    task(b);
    parts(b);
    log(b);
  };
  useBatches([`task:${id}`], take, () => void client.invalidateQueries({ queryKey: taskKeys.one(id) }));
}

/** What the timeline depends on: it is read again when this changes. */
const stage = (t: Task) =>
  [
    t.status,
    t.phase,
    t.attempt,
    t.reassignments,
    t.failures,
    t.run_at,
    t.cancel_requested_at,
    t.dropped_at,
  ].join();

function TaskView({ id }: { id: string }) {
  const client = useQueryClient();
  const query = useQuery(taskQuery(id));
  useLiveTask(id);
  const task = query.data;
  const now = task && stage(task);
  useEffect(() => {
    if (now) void client.invalidateQueries({ queryKey: taskKeys.timeline(id) });
  }, [client, id, now]);
  const parts = useQuery({ ...partsQuery(id), enabled: task?.fan_out !== undefined });
  const open = task?.phase !== "splitting";
  useEffect(() => {
    if (open) void client.invalidateQueries({ queryKey: taskKeys.parts(id) });
  }, [client, id, open]);
  if (query.error && !task) {
    return (
      <Page title="Task">
        <Problem error={query.error} retry={() => void query.refetch()} />
      </Page>
    );
  }
  if (!task) {
    return (
      <Page title="Task">
        <Skeleton height={120} />
        <Skeleton height={300} />
      </Page>
    );
  }
  return (
    <Page title={task.title || task.kind} heading={<Heading task={task} />} actions={<Actions task={task} />}>
      <TaskProgress task={task} parts={parts.data} />
      {task.error && task.status !== "succeeded" && <WhatFailed task={task} />}
      <TaskFacts task={task} />
      {task.fan_out && <Parts task={task} parts={parts.data} error={parts.error} />}
      {ended(task.status) && <ResultView task={task} />}
      {!task.fan_out && <LogView task={task} />}
      <Timeline task={task} />
      <InputView task={task} />
    </Page>
  );
}

function Heading({ task }: { task: Task }) {
  return (
    <Stack gap={4}>
      <Text size="sm">
        {task.parent ? (
          <Anchor component={Link} to={`/tasks/${task.parent}`}>
            The whole task
          </Anchor>
        ) : (
          <Anchor component={Link} to={`/groups/${task.group_id}/tasks`}>
            Tasks of the group
          </Anchor>
        )}
      </Text>
      <Group gap="sm">
        <Title order={1} size="h2">
          {task.title || task.kind}
          {task.index !== undefined && `, part ${task.index + 1} of ${task.count ?? "?"}`}
        </Title>
        <StatusBadge status={task.status} />
      </Group>
    </Stack>
  );
}

function Actions({ task }: { task: Task }) {
  const client = useQueryClient();
  const act = useAct(task.id);
  const drop = useDrop(task.id);
  const go = useNavigate();
  const name = task.title || task.kind;
  const over = ended(task.status);
  return (
    <>
      {(task.status === "failed" || task.status === "cancelled") && !task.dropped_at && (
        <Button loading={act.isPending} onClick={() => act.mutate("retry")}>
          Retry
        </Button>
      )}
      {!task.parent && !task.dropped_at && (
        <Button variant="default" onClick={() => void go(`/groups/${task.group_id}/submit?from=${task.id}`)}>
          Run again with changes
        </Button>
      )}
      {!over && (
        <ConfirmButton
          variant="default"
          title={`Cancel “${name}”?`}
          confirm="Cancel the task"
          message={
            task.status === "running"
              ? "Its worker is asked to stop. What it has done so far is lost, but for its last checkpoint."
              : "It will not be started."
          }
          action={() => act.mutateAsync("cancel")}
          disabled={task.cancel_requested_at !== undefined}
        >
          {task.cancel_requested_at ? "Stopping…" : "Cancel…"}
        </ConfirmButton>
      )}
      {over && !task.parent && !task.dropped_at && (
        <ConfirmButton
          variant="default"
          title="Delete input and result?"
          confirm="Delete them"
          message="The input, the result and the log of this task are deleted now. Its history stays."
          action={async () => {
            await drop.mutateAsync();
            await client.invalidateQueries({ queryKey: taskKeys.one(task.id) });
          }}
        >
          Delete data…
        </ConfirmButton>
      )}
      <Problem error={act.error} />
    </>
  );
}

function WhatFailed({ task }: { task: Task }) {
  if (!task.error) return null;
  return (
    <Paper withBorder p="sm" style={{ borderColor: "var(--mantine-color-error)" }}>
      <Text fw={600} c="var(--mantine-color-error)">
        {task.status === "failed" ? "It failed" : "The attempt before failed"}
      </Text>
      <Text style={{ overflowWrap: "anywhere" }}>{task.error.message}</Text>
      <Text size="sm" c="dimmed">
        {task.error.code}
        {task.error.retryable ? "" : "; trying again would not help"}
      </Text>
    </Paper>
  );
}

function TaskFacts({ task }: { task: Task }) {
  const facts: [string, React.ReactNode][] = [
    ["Kind", task.kind],
    ["Worker", task.worker?.name],
    ["Submitted", <TimeAgo key="c" at={task.created_at} />],
    [
      "Due",
      task.status === "scheduled" || task.status === "queued" ? (
        <TimeAgo key="r" at={task.run_at} />
      ) : undefined,
    ],
    ["Ended", task.finished_at && <TimeAgo key="f" at={task.finished_at} />],
    ["Waited", task.queue_ms !== undefined && duration(task.queue_ms)],
    ["Took", task.run_ms !== undefined && duration(task.run_ms)],
    [
      "Attempt",
      task.attempt > 0 &&
        `${task.attempt}${task.failures ? `; ${task.failures} of ${task.max_attempts} failed` : ""}`,
    ],
    ["Moved to another worker", task.reassignments > 0 && `${task.reassignments} ×`],
    ["Priority", task.priority === "normal" ? undefined : task.priority],
    ["Time limit", duration(task.timeout_s * 1000)],
    ["Input", bytes(task.input_bytes)],
    ["Result", task.output_bytes !== undefined && bytes(task.output_bytes)],
    ["Kept until", task.drop_at && !task.dropped_at && <TimeAgo key="d" at={task.drop_at} />],
  ];
  return <Facts facts={facts} />;
}
