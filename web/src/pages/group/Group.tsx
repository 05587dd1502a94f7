import { Badge, Button, Group, Skeleton, Title } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { Link, useParams } from "react-router";
import { ApiError } from "../../api/error";
import { atLeast, useGroup, useLiveGroup } from "../../api/queries/groups";
import { Lost } from "../../app/RouteError";
import { Page } from "../../ui/Page";
import { Problem } from "../../ui/Problem";
import { RouteTabs } from "../../ui/RouteTabs";
import { roleWords } from "../../ui/roles";
import { Star } from "../groups/Star";

const tabs = [
  { value: "tasks", label: "Tasks" },
  { value: "workers", label: "Workers" },
  { value: "devices", label: "Devices" },
  { value: "members", label: "Members" },
  { value: "statistics", label: "Statistics" },
  { value: "settings", label: "Settings" },
];

/** A group: its heading and tabs, each with a page of its own. */
export function Component() {
  const { group: id = "" } = useParams();
  const group = useGroup(id);
  useLiveGroup(id);
  if (group.error instanceof ApiError && group.error.status === 404) return <Lost />;
  const g = group.data;
  return (
    <Page
      title={g?.name ?? "Group"}
      heading={
        g ? (
          <Group gap="xs">
            <Title order={1} size="h2">
              {g.name}
            </Title>
            <Star group={g} />
            <Badge variant="default" tt="none">
              {roleWords[g.role].label}
            </Badge>
          </Group>
        ) : (
          <Skeleton h={32} w={220} />
        )
      }
      actions={
        g &&
        atLeast(g.role, "member") && (
          <>
            <Button component={Link} to={`/workers/new?group=${id}`} variant="default">
              Add a worker
            </Button>
            <Button component={Link} to={`/groups/${id}/submit`} leftSection={<IconPlus size={16} />}>
              Submit a task
            </Button>
          </>
        )
      }
    >
      <Problem error={group.error} retry={() => void group.refetch()} />
      <RouteTabs base={`/groups/${id}`} tabs={tabs} />
    </Page>
  );
}
