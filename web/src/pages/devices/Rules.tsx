import {
  Code,
  Group,
  NumberInput,
  Paper,
  Radio,
  Skeleton,
  Stack,
  Switch,
  Text,
  TextInput,
  Title,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { useParams } from "react-router";
import { deviceActions, deviceKeys, type Rules, useRules } from "../../api/queries/devices";
import { atLeast, useChange, useGroup } from "../../api/queries/groups";
import { Facts } from "../../ui/Facts";
import { Form } from "../../ui/Form";
import { duration, plural } from "../../ui/format";
import { Copy } from "../../ui/Json";
import { Problem } from "../../ui/Problem";
import { useSubmit } from "../../ui/useSubmit";

/** When the group is told of its devices. */
export function Component() {
  const { group = "" } = useParams();
  const role = useGroup(group).data?.role;
  const rules = useRules(group);
  if (rules.error) return <Problem error={rules.error} retry={() => void rules.refetch()} />;
  if (!rules.data || !role) return <Skeleton h={420} maw={560} />;
  if (!atLeast(role, "admin")) return <Shown rules={rules.data} />;
  return (
    <Stack gap="xl" maw={560}>
      <Change key={group} group={group} rules={rules.data} />
      {rules.data.webhook_secret && <Secret secret={rules.data.webhook_secret} />}
    </Stack>
  );
}

function Shown({ rules: r }: { rules: Rules }) {
  const silence =
    typeof r.silent_s === "number" ? duration(r.silent_s * 1000) : "four times what is usual for it";
  return (
    <Stack>
      <Text>The group’s owner and admins are told when a device</Text>
      <Facts
        facts={[
          ["Fails in a row", plural(r.failures ?? 3, "time")],
          ["Does not report for", silence],
          ["Told after another", duration((r.grace_s ?? 0) * 1000)],
          ["New devices", r.approval ? "wait for approval" : "are let in"],
        ]}
      />
    </Stack>
  );
}

/** The rules as the form has them, with minutes. */
export function toForm(r: Rules) {
  const learned = typeof r.silent_s !== "number";
  return {
    failures: r.failures ?? 3,
    silence: learned ? "learned" : "own",
    silent_min: typeof r.silent_s === "number" ? r.silent_s / 60 : 60,
    grace_min: (r.grace_s ?? 300) / 60,
    approval: r.approval ?? false,
    webhook_url: r.webhook_url ?? "",
  };
}

/** The rules as the API takes them. */
export function fromForm(v: ReturnType<typeof toForm>) {
  return {
    failures: v.failures,
    silent_s: v.silence === "learned" ? ("learned" as const) : Math.round(v.silent_min * 60),
    grace_s: Math.round(v.grace_min * 60),
    approval: v.approval,
    webhook_url: v.webhook_url.trim(),
  };
}

const within = (least: number, most: number, unit: string) => (v: unknown) =>
  typeof v === "number" && v >= least && v <= most ? null : `${least} to ${most.toLocaleString()} ${unit}`;

function Change({ group, rules }: { group: string; rules: Rules }) {
  const save = useChange(
    (v: ReturnType<typeof toForm>) => deviceActions.setRules(group, fromForm(v)),
    deviceKeys.rules(group),
  );
  const form = useForm({
    initialValues: toForm(rules),
    validate: {
      failures: within(1, 100, "in a row"),
      silent_min: (v, { silence }) => (silence === "own" ? within(1, 43_200, "minutes")(v) : null),
      grace_min: within(0, 1440, "minutes"),
    },
  });
  const state = useSubmit(form, async (v) => {
    await save.mutateAsync(v);
    notifications.show({ message: "The rules are in force" });
  });
  return (
    <Form state={state} send="Save">
      <Title order={2} size="h4">
        When the group’s owner and admins are told
      </Title>
      <NumberInput
        label="Failed syncs in a row"
        min={1}
        max={100}
        allowDecimal={false}
        w={200}
        {...form.getInputProps("failures")}
      />
      <Radio.Group label="Silence" {...form.getInputProps("silence")}>
        <Stack gap="xs" mt={4}>
          <Radio
            value="learned"
            label="Four times what is usual for the device"
            description="At least 15 minutes, once it has reported five times"
          />
          <Radio value="own" label="A time of our own" />
        </Stack>
      </Radio.Group>
      {form.values.silence === "own" && (
        <NumberInput
          label="Minutes without a report"
          min={1}
          max={43_200}
          w={200}
          {...form.getInputProps("silent_min")}
        />
      )}
      <NumberInput
        label="Minutes to wait before it is told"
        description="On top of either; a device that recovers meanwhile is no news"
        min={0}
        max={1440}
        styles={{ wrapper: { width: 200 } }}
        {...form.getInputProps("grace_min")}
      />
      <Switch
        label="New devices wait for approval"
        description="Until an admin accepts them, nobody else sees them"
        {...form.getInputProps("approval", { type: "checkbox" })}
      />
      <TextInput
        label="Webhook"
        description="Gets a signed POST for each alert and each recovery; empty: none"
        placeholder="https://example.org/hook"
        type="url"
        maxLength={2048}
        {...form.getInputProps("webhook_url")}
      />
    </Form>
  );
}

function Secret({ secret }: { secret: string }) {
  return (
    <Paper withBorder p="md" component="section" aria-label="Secret of the webhook">
      <Stack gap="sm">
        <Title order={2} size="h4">
          Secret of the webhook
        </Title>
        <Text size="sm">
          X-Firmlight-Signature is “sha256=” and the HMAC-SHA256, in hex, of X-Firmlight-Timestamp, a dot and
          the body, with this key.
        </Text>
        <Code block className="mono" tabIndex={0} style={{ whiteSpace: "pre-wrap" }}>
          {secret}
        </Code>
        <Group>
          <Copy text={secret} label="Copy the secret" />
        </Group>
      </Stack>
    </Paper>
  );
}
