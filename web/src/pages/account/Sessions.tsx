import { Badge, Button, Group, Stack, Table } from "@mantine/core";
import { accountActions, accountKeys, useSessions } from "../../api/queries/account";
import { useChange } from "../../api/queries/groups";
import { ConfirmButton } from "../../ui/ConfirmButton";
import { Problem } from "../../ui/Problem";
import { Rows } from "../../ui/Rows";
import { TimeAgo } from "../../ui/TimeAgo";
import { device } from "./device";

/** Where the user is logged in. */
export function Sessions() {
  const sessions = useSessions();
  const end = useChange(accountActions.endSession, accountKeys.sessions);
  return (
    <Stack>
      <Problem error={sessions.error ?? end.error} />
      <Rows
        label="Sessions"
        loading={sessions.isPending}
        columns={["Device", "Address", "Logged in", "Last used", ""]}
      >
        {sessions.data?.map((s) => (
          <Table.Tr key={s.id}>
            <Table.Td title={s.user_agent}>
              {device(s.user_agent)}{" "}
              {s.current && (
                <Badge variant="default" tt="none">
                  this one
                </Badge>
              )}
            </Table.Td>
            <Table.Td>{s.address}</Table.Td>
            <Table.Td>
              <TimeAgo at={s.created_at} />
            </Table.Td>
            <Table.Td>
              <TimeAgo at={s.last_used_at} />
            </Table.Td>
            <Table.Td ta="right">
              {!s.current && (
                <Button size="xs" variant="default" onClick={() => end.mutate(s.id)}>
                  Log out there
                </Button>
              )}
            </Table.Td>
          </Table.Tr>
        ))}
      </Rows>
      <Group>
        <ConfirmButton
          variant="default"
          title="Log out everywhere?"
          confirm="Log out everywhere"
          message="Every session ends, this one too. Workers and other programs with tokens go on."
          action={accountActions.logoutAll}
        >
          Log out everywhere
        </ConfirmButton>
      </Group>
    </Stack>
  );
}
