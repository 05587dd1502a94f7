import {
  Group,
  NumberInput,
  Paper,
  Skeleton,
  Stack,
  Switch,
  Text,
  Textarea,
  TextInput,
  Title,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { useNavigate, useParams } from "react-router";
import {
  atLeast,
  type Group as G,
  groupActions,
  groupKeys,
  useChange,
  useGroup,
} from "../../api/queries/groups";
import { ConfirmButton } from "../../ui/ConfirmButton";
import { Form } from "../../ui/Form";
import { plural } from "../../ui/format";
import { useSubmit } from "../../ui/useSubmit";

export function Component() {
  const { group: id = "" } = useParams();
  const group = useGroup(id).data;
  if (!group) return <Skeleton h={240} />;
  return (
    <Stack gap="xl" maw={560}>
      {atLeast(group.role, "admin") && <Details key={group.id} group={group} />}
      <Leaving group={group} />
    </Stack>
  );
}

function Details({ group }: { group: G }) {
  const update = useChange(
    (body: Parameters<typeof groupActions.update>[1]) => groupActions.update(group.id, body),
    groupKeys.all,
  );
  const form = useForm({
    initialValues: {
      name: group.name,
      description: group.description,
      own: group.result_retention_s !== null,
      hours: (group.result_retention_s ?? 86_400) / 3600,
    },
    validate: { name: (v) => (v.trim().length >= 3 ? null : "3 to 50 characters") },
  });
  const state = useSubmit(form, async ({ name, description, own, hours }) => {
    await update.mutateAsync({
      name,
      description,
      result_retention_s: own ? Math.round(hours * 3600) : null,
    });
    notifications.show({ message: "The settings of the group are saved" });
  });
  return (
    <Form state={state} send="Save">
      <TextInput label="Name" required maxLength={50} {...form.getInputProps("name")} />
      <Textarea
        label="Description"
        maxLength={300}
        autosize
        minRows={2}
        {...form.getInputProps("description")}
      />
      <Switch
        label="Keep results for a time of our own"
        description="Otherwise a day after a task succeeded, a week after it failed"
        {...form.getInputProps("own", { type: "checkbox" })}
      />
      {form.values.own && (
        <NumberInput
          label="Hours"
          description="0 drops them at once"
          min={0}
          max={720}
          w={160}
          {...form.getInputProps("hours")}
        />
      )}
    </Form>
  );
}

function Leaving({ group }: { group: G }) {
  const navigate = useNavigate();
  const leave = useChange(() => groupActions.leave(group.id), groupKeys.list);
  const remove = useChange(() => groupActions.remove(group.id), groupKeys.list);
  const away = (run: () => Promise<unknown>) => async () => {
    await run();
    await navigate("/");
  };
  const owner = group.role === "owner";
  return (
    <Paper withBorder p="md">
      <Stack gap="sm">
        <Title order={2} size="h4">
          Leave or delete
        </Title>
        <Text size="sm" c="dimmed">
          {owner
            ? "When the owner leaves, the group goes to the longest-standing admin, else member. The last one who leaves deletes it."
            : "You can come back when somebody invites you again."}
        </Text>
        <Group>
          <ConfirmButton
            variant="default"
            title={`Leave ${group.name}?`}
            confirm="Leave"
            message="Your workers take none of its tasks any more."
            action={away(() => leave.mutateAsync())}
          >
            Leave the group
          </ConfirmButton>
          {owner && (
            <ConfirmButton
              color="red.8"
              title={`Delete ${group.name}?`}
              confirm="Delete for good"
              message={`The group, its ${plural(group.members, "membership")} and its tasks go; running ones are cancelled. This cannot be undone.`}
              action={away(() => remove.mutateAsync())}
            >
              Delete the group
            </ConfirmButton>
          )}
        </Group>
      </Stack>
    </Paper>
  );
}
