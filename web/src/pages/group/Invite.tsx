import {
  Button,
  Group,
  NativeSelect,
  NumberInput,
  Paper,
  Stack,
  Table,
  Text,
  TextInput,
  Title,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { useState } from "react";
import {
  atLeast,
  groupActions,
  groupKeys,
  type Role,
  useChange,
  useGroupInvitations,
  useInviteLinks,
} from "../../api/queries/groups";
import { Copy } from "../../ui/Json";
import { Problem } from "../../ui/Problem";
import { Rows } from "../../ui/Rows";
import { roleWords } from "../../ui/roles";
import { TimeAgo } from "../../ui/TimeAgo";
import { useSubmit } from "../../ui/useSubmit";

/** How admins bring people in: by name, or by a link. */
export function Invite({ group, mine }: { group: string; mine: Role }) {
  return (
    <Paper withBorder p="md">
      <Stack gap="lg">
        <ByName group={group} />
        <ByLink group={group} mine={mine} />
      </Stack>
    </Paper>
  );
}

function ByName({ group }: { group: string }) {
  const pending = useGroupInvitations(group);
  const invite = useChange((name: string) => groupActions.invite(group, name), groupKeys.invitations(group));
  const withdraw = useChange((id: string) => groupActions.withdraw(group, id), groupKeys.invitations(group));
  const form = useForm({
    initialValues: { username: "" },
    validate: { username: (v) => (v ? null : "Whom?") },
  });
  const { busy, error, submit } = useSubmit(form, async ({ username }) => {
    await invite.mutateAsync(username.trim().toLowerCase());
    form.reset();
  });
  return (
    <Stack gap="sm">
      <Title order={2} size="h4">
        Invite somebody with an account
      </Title>
      <form onSubmit={submit} noValidate>
        <Group align="start">
          <TextInput
            aria-label="User name"
            placeholder="User name"
            autoCapitalize="none"
            {...form.getInputProps("username")}
          />
          <Button type="submit" loading={busy}>
            Invite
          </Button>
        </Group>
      </form>
      <Problem error={error ?? withdraw.error} />
      {pending.data?.map((i) => (
        <Group key={i.id} gap="sm">
          <Text size="sm">
            <b>{i.user.username}</b> was invited <TimeAgo at={i.created_at} />
          </Text>
          <Button size="compact-xs" variant="default" onClick={() => withdraw.mutate(i.id)}>
            Withdraw
          </Button>
        </Group>
      ))}
    </Stack>
  );
}

function ByLink({ group, mine }: { group: string; mine: Role }) {
  const links = useInviteLinks(group);
  const [url, setUrl] = useState("");
  const make = useChange(
    (b: Parameters<typeof groupActions.makeLink>[1]) => groupActions.makeLink(group, b),
    groupKeys.links(group),
  );
  const revoke = useChange((id: string) => groupActions.revokeLink(group, id), groupKeys.links(group));
  const form = useForm({
    initialValues: { role: "member" as "admin" | "member" | "viewer", uses: 1, days: 7 },
  });
  const { busy, error, submit } = useSubmit(form, async ({ role, uses, days }) => {
    const expires_at = new Date(Date.now() + days * 86_400_000).toISOString();
    setUrl((await make.mutateAsync({ role, max_uses: uses, expires_at })).url);
  });
  const inForce =
    links.data?.filter((l) => l.uses < l.max_uses && Date.parse(l.expires_at) > Date.now()) ?? [];
  return (
    <Stack gap="sm">
      <Title order={2} size="h4">
        Invite by a link
      </Title>
      <form onSubmit={submit} noValidate>
        <Group align="end">
          <NativeSelect
            label="They join as"
            data={(["member", "viewer", "admin"] as const)
              .filter((r) => atLeast(mine, r))
              .map((r) => ({ value: r, label: roleWords[r].label }))}
            {...form.getInputProps("role")}
          />
          <NumberInput
            label="Uses"
            min={1}
            max={1000}
            w={100}
            clampBehavior="strict"
            {...form.getInputProps("uses")}
          />
          <NumberInput
            label="Days"
            min={1}
            max={90}
            w={100}
            clampBehavior="strict"
            {...form.getInputProps("days")}
          />
          <Button type="submit" loading={busy} variant="default">
            Make a link
          </Button>
        </Group>
      </form>
      <Problem error={error ?? revoke.error} />
      {url && (
        <Group gap="sm" role="status">
          <Text className="mono" size="sm" data-testid="invite-link">
            {url}
          </Text>
          <Copy text={url} />
          <Text size="sm" c="dimmed">
            It is shown this once.
          </Text>
        </Group>
      )}
      {inForce.length > 0 && (
        <Rows label="Invite links" loading={false} columns={["Role", "Used", "Made by", "Ends", ""]}>
          {inForce.map((l) => (
            <Table.Tr key={l.id}>
              <Table.Td>{roleWords[l.role].label}</Table.Td>
              <Table.Td>
                {l.uses} of {l.max_uses}
              </Table.Td>
              <Table.Td>{l.created_by.username}</Table.Td>
              <Table.Td>
                <TimeAgo at={l.expires_at} />
              </Table.Td>
              <Table.Td ta="right">
                <Button size="compact-xs" variant="default" onClick={() => revoke.mutate(l.id)}>
                  Revoke
                </Button>
              </Table.Td>
            </Table.Tr>
          ))}
        </Rows>
      )}
    </Stack>
  );
}
