import { Progress, Text } from "@mantine/core";
import { ended, type Task } from "../../api/queries/taskTypes";
import { count, plural, share } from "../../ui/format";
import { tally } from "./tally";

/** How far a task is, as a bar and in words; of one in parts, how many have ended. */
export function TaskProgress({ task, parts }: { task: Task; parts: Task[] | undefined }) {
  if (task.fan_out && !ended(task.status)) return <OfParts task={task} parts={parts} />;
  if (task.status !== "running") return null;
  const percent = task.progress?.percent;
  return (
    <div>
      <Progress.Root size="lg">
        <Progress.Section
          value={percent ?? 100}
          animated={percent === undefined}
          striped={percent === undefined}
          aria-label="Progress"
        />
      </Progress.Root>
      <Text size="sm" mt={4} mih={22} className="numbers">
        {percent === undefined ? "Running; how far it is is not known." : share(percent / 100)}
        {task.progress?.message && ` ${task.progress.message}`}
      </Text>
    </div>
  );
}

const words = {
  splitting: "Being cut into parts.",
  open: "",
  reducing: "All parts have ended; their results are being put together.",
};

function OfParts({ task, parts }: { task: Task; parts: Task[] | undefined }) {
  const n = parts ? tally(parts) : task.children;
  const total = n?.total ?? 0;
  const over = n ? n.succeeded + n.failed + n.cancelled : 0;
  return (
    <div>
      <Progress.Root size="lg">
        <Progress.Section
          value={n ? (n.succeeded / (total || 1)) * 100 : 0}
          color="green"
          aria-label="Parts that succeeded"
        />
        <Progress.Section
          value={n ? ((n.failed + n.cancelled) / (total || 1)) * 100 : 0}
          color="red"
          aria-label="Parts that failed"
        />
      </Progress.Root>
      <Text size="sm" mt={4} mih={22} className="numbers">
        {task.phase && words[task.phase]}{" "}
        {total > 0 && `${count(over)} of ${plural(total, "part")} have ended.`}
      </Text>
    </div>
  );
}
