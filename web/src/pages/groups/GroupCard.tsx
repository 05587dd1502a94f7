import { Anchor, Badge, Card, Group, Skeleton, Text, Title } from "@mantine/core";
import { Link } from "react-router";
import { type Group as G, useGroupWorkers, useLiveGroup, useStats } from "../../api/queries/groups";
import { count, plural } from "../../ui/format";
import { roleWords } from "../../ui/roles";
import { Star } from "./Star";

/** A group with what happens in it now. */
export function GroupCard({ group }: { group: G }) {
  useLiveGroup(group.id);
  const counts = useStats(group.id, "24h").data?.counts;
  const workers = useGroupWorkers(group.id).data;
  const slots = workers?.reduce((sum, w) => sum + w.slots, 0) ?? 0;
  return (
    <Card withBorder h={176} component="article" aria-label={group.name}>
      <Group justify="space-between" wrap="nowrap" align="start">
        <Title order={2} size="h4" lineClamp={1}>
          <Anchor component={Link} to={`/groups/${group.id}`} inherit>
            {group.name}
          </Anchor>
        </Title>
        <Star group={group} />
      </Group>
      <Text size="sm" c="dimmed" lineClamp={2} h="2.9em">
        {group.description || "No description"}
      </Text>
      <Group gap="lg" mt="auto" className="numbers">
        <Fact label="running" value={counts?.running} />
        <Fact label="waiting" value={counts && counts.queued + counts.scheduled} />
        <Fact label={workers?.length === 1 ? "worker" : "workers"} value={workers?.length} />
        <Fact label={slots === 1 ? "slot" : "slots"} value={workers && slots} />
      </Group>
      <Group justify="space-between" mt="xs">
        <Text size="xs" c="dimmed">
          {plural(group.members, "member")}
        </Text>
        <Badge variant="default" tt="none">
          {roleWords[group.role].label}
        </Badge>
      </Group>
    </Card>
  );
}

function Fact({ label, value }: { label: string; value: number | undefined }) {
  return (
    <div>
      {value === undefined ? <Skeleton h={18} w={28} my={3} /> : <Text fw={600}>{count(value)}</Text>}
      <Text size="xs" c="dimmed">
        {label}
      </Text>
    </div>
  );
}
