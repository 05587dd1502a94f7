import { Badge, Box, Button, Group, ScrollArea, Skeleton, Tabs, Title } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { Link, Outlet, useLocation, useNavigate, useParams } from "react-router";
import { ApiError } from "../../api/error";
import { atLeast, useGroup, useLiveGroup } from "../../api/queries/groups";
import { Lost } from "../../app/RouteError";
import { Page } from "../../ui/Page";
import { Problem } from "../../ui/Problem";
import { roleWords } from "../../ui/roles";
import { Star } from "../groups/Star";

const tabs = [
  { value: "tasks", label: "Tasks" },
  { value: "workers", label: "Workers" },
  { value: "members", label: "Members" },
  { value: "statistics", label: "Statistics" },
  { value: "settings", label: "Settings" },
];

/** A group: its heading and tabs, each with a page of its own. */
export function Component() {
  const { group: id = "" } = useParams();
  const group = useGroup(id);
  useLiveGroup(id);
  const navigate = useNavigate();
  const tab = useLocation().pathname.split("/")[3] ?? "tasks";
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
      <Tabs value={tab} onChange={(t) => t && void navigate(`/groups/${id}/${t}`)} keepMounted={false}>
        <ScrollArea type="never">
          <Tabs.List style={{ flexWrap: "nowrap" }}>
            {tabs.map((t) => (
              <Tabs.Tab key={t.value} value={t.value}>
                {t.label}
              </Tabs.Tab>
            ))}
          </Tabs.List>
        </ScrollArea>
        <Tabs.Panel value={tab}>
          <Box pt="md">
            <Outlet />
          </Box>
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
