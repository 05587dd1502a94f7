import {
  Group,
  Input,
  NumberInput,
  Paper,
  SegmentedControl,
  Select,
  Stack,
  TextInput,
  Title,
} from "@mantine/core";
import { duration } from "../../ui/format";
import { type Draft, type Mode, modeOf, reducers, splits } from "./draft";
import type { FormProps } from "./KindInput";

const reduceLabels: Record<(typeof reducers)[number], string> = {
  own: "As the kind does it",
  collect: "A list of all results",
  concat: "Joined to one list or text",
  sum: "Added up",
  union: "Each value once",
  none: "Not at all",
};

/** How the task is run: in parts or not, when, and how often it is tried. */
export function RunOptions(props: FormProps) {
  const { draft, errors, change } = props;
  return (
    <Paper withBorder p="md">
      <Stack>
        <Title order={2} size="h4">
          How it runs
        </Title>
        <Parts {...props} />
        <Group align="flex-start">
          <Select
            label="Priority"
            allowDeselect={false}
            w={140}
            data={[
              { value: "high", label: "High" },
              { value: "normal", label: "Normal" },
              { value: "low", label: "Low" },
            ]}
            value={draft.priority}
            error={errors.priority}
            onChange={(v) => change({ priority: v as Draft["priority"] })}
          />
          <NumberInput
            label="Time limit"
            description={draft.timeout ? duration(Number(draft.timeout) * 1000) : " "}
            inputWrapperOrder={["label", "input", "description", "error"]}
            suffix=" s"
            min={1}
            max={86_400}
            w={140}
            value={draft.timeout}
            error={errors.timeout}
            onChange={(timeout) => change({ timeout })}
          />
          <NumberInput
            label="Attempts at most"
            min={1}
            max={25}
            w={150}
            value={draft.attempts}
            error={errors.attempts}
            onChange={(attempts) => change({ attempts })}
          />
        </Group>
        <When {...props} />
      </Stack>
    </Paper>
  );
}

function Parts({ draft, errors, change }: FormProps) {
  const mode = modeOf(draft);
  const data: { value: Mode; label: string }[] = [
    { value: "one", label: "In one piece" },
    ...(splits(draft.kind) ? [{ value: "split" as const, label: "Split into parts" }] : []),
    { value: "inputs", label: "Many inputs" },
    { value: "broadcast", label: "Once on every worker" },
  ];
  return (
    <Stack gap="sm">
      <Select
        label="Parts"
        allowDeselect={false}
        w={260}
        data={data}
        value={mode}
        error={errors.mode}
        onChange={(v) => change({ mode: (v ?? "one") as Mode, reduce: "own" })}
      />
      {mode === "split" && (
        <Group align="flex-end">
          <SegmentedControl
            aria-label="How many parts"
            data={[
              { value: "workers", label: "As many as workers are connected" },
              { value: "count", label: "A number" },
            ]}
            value={draft.perWorker ? "workers" : "count"}
            onChange={(v) => change({ perWorker: v === "workers" })}
          />
          {!draft.perWorker && (
            <NumberInput
              aria-label="Number of parts"
              min={1}
              max={10_000}
              w={120}
              value={draft.parts}
              error={errors.parts}
              onChange={(parts) => change({ parts })}
            />
          )}
        </Group>
      )}
      {mode !== "one" && (
        <Group align="flex-start">
          <Select
            label="Results are put together"
            allowDeselect={false}
            w={230}
            data={reducers
              .filter((r) => r !== "own" || mode === "split")
              .map((value) => ({ value, label: reduceLabels[value] }))}
            value={draft.reduce === "own" && mode !== "split" ? "collect" : draft.reduce}
            error={errors.reduce}
            onChange={(v) => change({ reduce: v ?? "own" })}
          />
          <NumberInput
            label="Parts that may fail"
            min={0}
            max={10_000}
            w={160}
            value={draft.allowFailures}
            error={errors.allowFailures}
            onChange={(allowFailures) => change({ allowFailures })}
          />
        </Group>
      )}
    </Stack>
  );
}

function When({ draft, errors, change }: FormProps) {
  return (
    <Group align="flex-start">
      <div>
        <Input.Label labelElement="div" id="start-label">
          Start
        </Input.Label>
        <SegmentedControl
          aria-labelledby="start-label"
          data={[
            { value: "now", label: "Now" },
            { value: "in", label: "In a while" },
            { value: "at", label: "At a time" },
          ]}
          value={draft.start}
          onChange={(v) => change({ start: v as Draft["start"] })}
        />
      </div>
      {draft.start === "in" && (
        <NumberInput
          label="Minutes from now"
          min={1}
          w={170}
          value={draft.minutes}
          error={errors.minutes}
          onChange={(minutes) => change({ minutes })}
        />
      )}
      {draft.start === "at" && (
        <TextInput
          type="datetime-local"
          label="Not before"
          w={230}
          value={draft.at}
          error={errors.at}
          onChange={(e) => change({ at: e.currentTarget.value })}
        />
      )}
    </Group>
  );
}
