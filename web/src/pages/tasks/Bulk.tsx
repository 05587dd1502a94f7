import { Button, Group, List, Modal, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { type Action, actOnAll, actOnEach, type Outcome } from "../../api/queries/tasks";
import { ended, type Task, type TaskFilter } from "../../api/queries/taskTypes";
import { plural } from "../../ui/format";
import { Problem } from "../../ui/Problem";
import { undoable } from "../../ui/undoable";

interface Props {
  groups: string[];
  filter: TaskFilter;
  filtered: boolean;
  rows: Task[];
  selected: ReadonlySet<string>;
  onDone: () => void;
}

/** What is about to be done: to the selected tasks, or to all that match. */
interface Plan {
  action: Action;
  ids?: string[];
  count?: number; // undefined: being counted
  error?: unknown;
}

const fits = (action: Action, t: Task) =>
  action === "cancel" ? !ended(t.status) : t.status === "failed" || t.status === "cancelled";
const verb = { cancel: "Cancel", retry: "Retry" };
const future = { cancel: "Cancels", retry: "Retries" };
const past = { cancel: "asked to stop", retry: "queued again" };

/** Cancel and retry for many tasks at a time: first how many it would reach, then a while to undo it. */
export function Bulk({ groups, filter, filtered, rows, selected, onDone }: Props) {
  const [plan, setPlan] = useState<Plan>();
  const change = (more: Partial<Plan>) => setPlan((old) => old && { ...old, ...more });
  const start = (action: Action) => {
    if (selected.size > 0) {
      const ids = rows.filter((t) => selected.has(t.id) && fits(action, t)).map((t) => t.id);
      return setPlan({ action, ids, count: ids.length });
    }
    setPlan({ action });
    actOnAll(action, groups, filter, true).then(
      (count) => change({ count }),
      (error: unknown) => change({ error, count: 0 }),
    );
  };
  const run = ({ action, ids, count = 0 }: Plan) => {
    setPlan(undefined);
    undoable(`${future[action]} ${plural(count, "task")}`, async (progress) => {
      const result = ids
        ? await actOnEach(action, ids, (n) => progress(`${n} of ${plural(count, "task")}`))
        : { done: await actOnAll(action, groups, filter, false), refused: new Map<string, number>() };
      onDone();
      return <Happened action={action} result={result} />;
    });
  };
  const what = selected.size > 0 ? "selected" : filtered ? "all that match" : "all";
  return (
    <Group gap="xs">
      <Button size="xs" variant="default" onClick={() => start("retry")}>
        Retry {what}…
      </Button>
      <Button size="xs" variant="default" onClick={() => start("cancel")}>
        Cancel {what}…
      </Button>
      <Modal
        opened={plan !== undefined}
        onClose={() => setPlan(undefined)}
        title={plan && `${verb[plan.action]} tasks`}
        centered
      >
        {plan && (
          <Asked
            plan={plan}
            selected={selected.size}
            run={() => run(plan)}
            close={() => setPlan(undefined)}
          />
        )}
      </Modal>
    </Group>
  );
}

function Asked({
  plan,
  selected,
  run,
  close,
}: {
  plan: Plan;
  selected: number;
  run: () => void;
  close: () => void;
}) {
  const { action, ids, count, error } = plan;
  const cannot = ids ? selected - ids.length : 0;
  return (
    <Stack>
      <Text aria-live="polite">{question(action, count)}</Text>
      {cannot > 0 && (
        <Text size="sm" c="dimmed">
          {plural(cannot, "other selected task")} {action === "cancel" ? "ended already" : "did not fail"} and
          will be left alone.
        </Text>
      )}
      <Problem error={error} />
      <Group justify="flex-end">
        <Button variant="default" onClick={close} data-autofocus>
          Leave them
        </Button>
        <Button
          color={action === "cancel" ? "red.8" : undefined}
          disabled={!count}
          loading={count === undefined}
          onClick={run}
        >
          {verb[action]} {count !== undefined && plural(count, "task")}
        </Button>
      </Group>
    </Stack>
  );
}

function question(action: Action, count: number | undefined): string {
  if (count === undefined) return "Counting…";
  if (count === 0)
    return action === "cancel"
      ? "There is nothing to cancel: none of these is waiting or running."
      : "There is nothing to retry: none of these has failed or was cancelled.";
  const n = plural(count, "task");
  return action === "cancel"
    ? `This cancels ${n}. Those that run are asked to stop; what they have done so far is lost.`
    : `This queues ${n} again, from the start or from their last checkpoint.`;
}

function Happened({ action, result }: { action: Action; result: Outcome }) {
  return (
    <Stack gap="xs">
      <Text size="sm">
        {plural(result.done, "task")} {result.done === 1 ? "was" : "were"} {past[action]}.
      </Text>
      {result.refused.size > 0 && (
        <List size="sm">
          {[...result.refused].map(([why, n]) => (
            <List.Item key={why}>
              {plural(n, "task")}: {why}
            </List.Item>
          ))}
        </List>
      )}
    </Stack>
  );
}
