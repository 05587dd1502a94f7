import {
  ActionIcon,
  Button,
  Chip,
  Group,
  MultiSelect,
  NumberInput,
  Switch,
  Text,
  TextInput,
  Title,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { atLeast, useChange, useGroups } from "../../api/queries/groups";
import { type OwnWorker, workerActions, workerKeys } from "../../api/queries/workers";
import { Form } from "../../ui/Form";
import { useSubmit } from "../../ui/useSubmit";

const days = [
  ["mon", "Mon"],
  ["tue", "Tue"],
  ["wed", "Wed"],
  ["thu", "Thu"],
  ["fri", "Fri"],
  ["sat", "Sat"],
  ["sun", "Sun"],
] as const;

const everyDay = days.map(([value]) => value as string);

/** What the owner decides about a worker; in force at once. */
export function WorkerSettingsForm({ worker }: { worker: OwnWorker }) {
  const s = worker.settings;
  const groups = useGroups().data?.filter((g) => atLeast(g.role, "member")) ?? [];
  const update = useChange(
    (b: Parameters<typeof workerActions.update>[1]) => workerActions.update(worker.id, b),
    workerKeys.all,
  );
  const form = useForm({
    initialValues: {
      takes: !s.paused,
      slots_cap: (s.slots_cap ?? "") as number | "",
      kinds: s.kinds ?? [],
      groups: s.groups ?? [],
      quiet_hours: s.quiet_hours.map((w) => ({ ...w, days: w.days.length ? w.days : everyDay })),
    },
  });
  const state = useSubmit(form, async (v) => {
    await update.mutateAsync({
      paused: !v.takes,
      slots_cap: v.slots_cap === "" ? null : v.slots_cap,
      kinds: v.kinds.length ? v.kinds : null,
      groups: v.groups.length ? v.groups : null,
      quiet_hours: v.quiet_hours,
      ...(v.quiet_hours.length ? { time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone } : {}),
    });
    notifications.show({ message: `The settings of ${worker.name} are in force` });
  });
  return (
    <Form width={760} state={state} send="Save">
      <Switch
        label="Takes tasks"
        description="Switched off, what runs goes on and nothing new begins"
        {...form.getInputProps("takes", { type: "checkbox" })}
      />
      <NumberInput
        label="At most this many tasks at a time"
        description="Of each of its connections"
        placeholder="As it was started"
        min={0}
        max={1024}
        w={280}
        {...form.getInputProps("slots_cap")}
      />
      <MultiSelect
        label="Kinds"
        placeholder={form.values.kinds.length ? "" : "All it has"}
        data={[...new Set([...worker.kinds, ...(s.kinds ?? [])])]}
        {...form.getInputProps("kinds")}
      />
      <MultiSelect
        label="Groups"
        placeholder={form.values.groups.length ? "" : "All of its token"}
        data={groups.map((g) => ({ value: g.id, label: g.name }))}
        {...form.getInputProps("groups")}
      />
      <Title order={2} size="h4">
        Quiet hours
      </Title>
      <Text size="sm" c="dimmed">
        It begins nothing new in them. One that ends before it begins ends on the next day. Time zone:{" "}
        {s.quiet_hours.length ? s.time_zone : Intl.DateTimeFormat().resolvedOptions().timeZone}
      </Text>
      {form.values.quiet_hours.map((w, i) => (
        <Group
          key={form.key(`quiet_hours.${i}`)}
          align="end"
          component="fieldset"
          m={0}
          p={0}
          style={{ border: 0 }}
          aria-label={`Quiet hours ${i + 1}`}
        >
          <Chip.Group multiple {...form.getInputProps(`quiet_hours.${i}.days`)}>
            <Group gap={4}>
              {days.map(([value, label]) => (
                <Chip key={value} value={value} size="xs">
                  {label}
                </Chip>
              ))}
            </Group>
          </Chip.Group>
          <TextInput type="time" label="From" {...form.getInputProps(`quiet_hours.${i}.from`)} />
          <TextInput type="time" label="To" {...form.getInputProps(`quiet_hours.${i}.to`)} />
          <ActionIcon
            variant="default"
            size="lg"
            aria-label={`Remove ${w.from} to ${w.to}`}
            onClick={() => form.removeListItem("quiet_hours", i)}
          >
            <IconTrash size={16} />
          </ActionIcon>
        </Group>
      ))}
      <Group>
        <Button
          variant="default"
          leftSection={<IconPlus size={16} />}
          disabled={form.values.quiet_hours.length >= 14}
          onClick={() => form.insertListItem("quiet_hours", { days: everyDay, from: "22:00", to: "07:00" })}
        >
          Add quiet hours
        </Button>
      </Group>
    </Form>
  );
}
