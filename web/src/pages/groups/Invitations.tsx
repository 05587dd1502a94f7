import { Button, Group, Paper, Stack, Text } from "@mantine/core";
import { groupActions, groupKeys, useChange, useInvitations } from "../../api/queries/groups";
import { Problem } from "../../ui/Problem";
import { TimeAgo } from "../../ui/TimeAgo";

/** Invitations that wait for the user's answer; nothing where there are none. */
export function Invitations() {
  const invitations = useInvitations();
  const answer = useChange(
    ({ id, yes }: { id: string; yes: boolean }) => (yes ? groupActions.accept(id) : groupActions.decline(id)),
    groupKeys.mine,
    groupKeys.list,
  );
  if (!invitations.data?.length) return null;
  return (
    <Stack gap="xs" component="section" aria-label="Invitations">
      <Problem error={answer.error} />
      {invitations.data.map((i) => (
        <Paper key={i.id} withBorder p="sm">
          <Group justify="space-between">
            <Text>
              <b>{i.invited_by.username}</b> invites you to <b>{i.group.name}</b>,{" "}
              <TimeAgo at={i.created_at} />
            </Text>
            <Group gap="xs">
              <Button size="xs" onClick={() => answer.mutate({ id: i.id, yes: true })}>
                Join
              </Button>
              <Button size="xs" variant="default" onClick={() => answer.mutate({ id: i.id, yes: false })}>
                Decline
              </Button>
            </Group>
          </Group>
        </Paper>
      ))}
    </Stack>
  );
}
