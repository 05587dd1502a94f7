import { Group, Stack, Table, Text } from "@mantine/core";
import { IconCheck, IconLock, IconShield, IconUserSearch } from "@tabler/icons-react";
import { type Account, adminActions, adminKeys, type UserFilter, useUsers } from "../../api/queries/admin";
import { useChange } from "../../api/queries/groups";
import { useUser } from "../../app/auth";
import { useAddress } from "../../ui/address";
import { Choice } from "../../ui/Choice";
import { ConfirmButton } from "../../ui/ConfirmButton";
import { Empty } from "../../ui/Empty";
import { FilterBar } from "../../ui/FilterBar";
import { count } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { Search } from "../../ui/Search";
import { StateBadge } from "../../ui/StateBadge";
import { TimeAgo } from "../../ui/TimeAgo";

const kinds: { value: string; label: string; filter: UserFilter }[] = [
  { value: "admins", label: "Administrators", filter: { admin: "true" } },
  { value: "enabled", label: "May log in", filter: { disabled: "false" } },
  { value: "disabled", label: "Disabled", filter: { disabled: "true" } },
];

/** Everybody with an account. */
export function Component() {
  const [params, change] = useAddress();
  const q = params.get("q") ?? "";
  const kind = kinds.find((k) => k.value === params.get("show"));
  const list = useUsers({ ...(q && { q }), ...kind?.filter });
  const users = list.data?.pages.flatMap((p) => p.items);
  return (
    <Stack>
      <FilterBar>
        <Search placeholder="What the name or email begins with" width={320} max={254} />
        <Choice
          label="Who"
          any="Everybody"
          width={180}
          data={kinds}
          value={kind?.value}
          onChange={(show) => change({ show })}
        />
      </FilterBar>
      <Listing
        of={list}
        items={users}
        label="Users"
        columns={["User", "State", "Groups", "Last login", "Joined", ""]}
        empty={
          <Empty icon={IconUserSearch} title="Nobody matches">
            The search looks at the beginning of the user name and of the email address.
          </Empty>
        }
        row={(u) => <Row key={u.id} user={u} />}
      />
      <More list={list} label="Show more users" />
    </Stack>
  );
}

function Row({ user: u }: { user: Account }) {
  const self = useUser().id === u.id;
  return (
    <Table.Tr>
      <Table.Td miw={150} style={{ overflowWrap: "anywhere" }}>
        {u.username}{" "}
        {self && (
          <Text span inherit c="dimmed">
            (you)
          </Text>
        )}
        <Text size="xs" c="dimmed">
          {u.email}
        </Text>
      </Table.Td>
      <Table.Td>
        <Group gap={4}>
          {u.disabled ? (
            <StateBadge colour="red" icon={IconLock} label="Disabled" />
          ) : (
            !u.admin && <StateBadge colour="green" icon={IconCheck} label="May log in" />
          )}
          {u.admin && <StateBadge colour="grape" icon={IconShield} label="Administrator" />}
        </Group>
      </Table.Td>
      <Table.Td>{count(u.groups)}</Table.Td>
      <Table.Td>{u.last_login_at ? <TimeAgo at={u.last_login_at} /> : "never"}</Table.Td>
      <Table.Td>
        <TimeAgo at={u.created_at} />
      </Table.Td>
      <Table.Td>{!self && <Actions user={u} />}</Table.Td>
    </Table.Tr>
  );
}

function Actions({ user: u }: { user: Account }) {
  const update = useChange(
    (body: { disabled?: boolean; admin?: boolean }) => adminActions.update(u.id, body),
    adminKeys.users,
  );
  return (
    <Group gap="xs" justify="flex-end" wrap="nowrap">
      <ConfirmButton
        size="xs"
        variant="default"
        title={
          u.admin ? `Is ${u.username} no administrator any more?` : `Make ${u.username} an administrator?`
        }
        confirm={u.admin ? "Take it away" : "Make an administrator"}
        message={
          u.admin
            ? "These pages are closed to them at once. Their account and groups stay."
            : "Administrators see everybody, every group’s size and the audit log, and may pause queues, disconnect workers and disable users."
        }
        action={() => update.mutateAsync({ admin: !u.admin })}
      >
        {u.admin ? "No administrator…" : "Administrator…"}
      </ConfirmButton>
      <ConfirmButton
        size="xs"
        variant="default"
        title={u.disabled ? `Enable ${u.username}?` : `Disable ${u.username}?`}
        confirm={u.disabled ? "Enable" : "Disable"}
        message={
          u.disabled
            ? "They may log in again, and their tokens work again."
            : "Their sessions end within a second, and their tokens, workers and devices are refused. Groups and tasks stay; it can be undone."
        }
        action={() => update.mutateAsync({ disabled: !u.disabled })}
      >
        {u.disabled ? "Enable…" : "Disable…"}
      </ConfirmButton>
    </Group>
  );
}
