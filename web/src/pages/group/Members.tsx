import { NativeSelect, Stack, Table, Text } from "@mantine/core";
import { useParams } from "react-router";
import {
  atLeast,
  groupActions,
  groupKeys,
  type Member,
  type Role,
  useChange,
  useGroup,
  useMembers,
} from "../../api/queries/groups";
import { useUser } from "../../app/auth";
import { ConfirmButton } from "../../ui/ConfirmButton";
import { Problem } from "../../ui/Problem";
import { Rows } from "../../ui/Rows";
import { roleWords } from "../../ui/roles";
import { TimeAgo } from "../../ui/TimeAgo";
import { Invite } from "./Invite";

export function Component() {
  const { group: id = "" } = useParams();
  const role = useGroup(id).data?.role ?? "viewer";
  const members = useMembers(id);
  return (
    <Stack gap="xl">
      {atLeast(role, "admin") && <Invite group={id} mine={role} />}
      <Problem error={members.error} retry={() => void members.refetch()} />
      <Rows label="Members" loading={members.isPending} columns={["Member", "Role", "Joined", ""]}>
        {members.data?.map((m) => (
          <Row key={m.user_id} group={id} member={m} mine={role} />
        ))}
      </Rows>
    </Stack>
  );
}

/** The roles that somebody of one role may give to a member of another. */
export function rolesToGive(mine: Role, theirs: Role): Role[] {
  if (theirs === "owner") return [];
  if (mine === "owner") return ["owner", "admin", "member", "viewer"];
  return mine === "admin" && theirs !== "admin" ? ["member", "viewer"] : [];
}

function Row({ group, member, mine }: { group: string; member: Member; mine: Role }) {
  const self = useUser().id === member.user_id;
  const setRole = useChange(
    (role: Role) => groupActions.setRole(group, member.user_id, role),
    groupKeys.one(group),
  );
  const kick = useChange(() => groupActions.kick(group, member.user_id), groupKeys.one(group));
  const choices = self ? [] : rolesToGive(mine, member.role);
  return (
    <Table.Tr>
      <Table.Td>
        {member.username}{" "}
        {self && (
          <Text span inherit c="dimmed">
            (you)
          </Text>
        )}
      </Table.Td>
      <Table.Td>
        {choices.length === 0 ? (
          roleWords[member.role].label
        ) : (
          <NativeSelect
            aria-label={`Role of ${member.username}`}
            value={member.role}
            onChange={(e) => setRole.mutate(e.currentTarget.value as Role)}
            data={choices.map((r) => ({
              value: r,
              label: r === "owner" ? "Owner (hand over)" : roleWords[r].label,
            }))}
            w={180}
            size="xs"
          />
        )}
        <Problem error={setRole.error} />
      </Table.Td>
      <Table.Td>
        <TimeAgo at={member.joined_at} />
      </Table.Td>
      <Table.Td ta="right">
        {choices.length > 0 && (
          <ConfirmButton
            size="xs"
            variant="default"
            title={`Remove ${member.username}?`}
            confirm="Remove"
            message="They lose sight of the group at once. Their workers take none of its tasks any more; what they run goes to others."
            action={() => kick.mutateAsync()}
          >
            Remove
          </ConfirmButton>
        )}
      </Table.Td>
    </Table.Tr>
  );
}
