import { Button, Group, Skeleton, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "react-router";
import { ApiError } from "../../api/error";
import { groupActions, groupKeys, useChange } from "../../api/queries/groups";
import { useWho } from "../../app/auth";
import { roleWords } from "../../ui/roles";
import { TimeAgo } from "../../ui/TimeAgo";
import { AuthCard } from "./AuthCard";

export function Component() {
  const { code = "" } = useParams();
  const who = useWho();
  const navigate = useNavigate();
  const link = useQuery({ queryKey: ["invite-link", code], queryFn: () => groupActions.previewLink(code) });
  const join = useChange(() => groupActions.join(code), groupKeys.all);
  if (link.isError)
    return (
      <AuthCard title="Invitation" error={link.error}>
        {link.error instanceof ApiError && link.error.status === 404 && (
          <Text>It has expired, was used up or was withdrawn. Ask whoever gave it to you for a new one.</Text>
        )}
        <Button component={Link} to="/" variant="default">
          Go to your groups
        </Button>
      </AuthCard>
    );
  if (!link.data || who.state === "unknown")
    return (
      <AuthCard title="Invitation">
        <Skeleton h={48} />
        <Skeleton h={36} />
      </AuthCard>
    );
  const already = join.error instanceof ApiError && join.error.code === "already_member";
  const { group, role, expires_at } = link.data;
  return (
    <AuthCard title={`Join ${group.name}`} error={already ? null : join.error}>
      <Text>
        You are invited {roleWords[role].as}. The link ends <TimeAgo at={expires_at} />.
      </Text>
      {already && <Text>You are in this group already.</Text>}
      {who.state === "in" ? (
        <Button
          loading={join.isPending}
          onClick={() =>
            already
              ? navigate(`/groups/${group.id}`)
              : join.mutate(undefined, { onSuccess: (g) => navigate(`/groups/${g.id}`) })
          }
        >
          {already ? "Open the group" : `Join as ${who.user.username}`}
        </Button>
      ) : (
        <Group grow>
          <Button component={Link} to={`/register?invite=${encodeURIComponent(code)}`}>
            Make an account
          </Button>
          <Button
            component={Link}
            to={`/login?next=${encodeURIComponent(`/invite/${code}`)}`}
            variant="default"
          >
            Log in
          </Button>
        </Group>
      )}
    </AuthCard>
  );
}
