import { Stack, Table } from "@mantine/core";
import { IconUsersGroup } from "@tabler/icons-react";
import { useAllGroups } from "../../api/queries/admin";
import { useAddress } from "../../ui/address";
import { Empty } from "../../ui/Empty";
import { count } from "../../ui/format";
import { More } from "../../ui/More";
import { Problem } from "../../ui/Problem";
import { Rows } from "../../ui/Rows";
import { TimeAgo } from "../../ui/TimeAgo";
import { Typed } from "../../ui/Typed";

/** Every group of the installation. */
export function Component() {
  const [params, change] = useAddress();
  const q = params.get("q") ?? "";
  const list = useAllGroups(q);
  const groups = list.data?.pages.flatMap((p) => p.items);
  return (
    <Stack>
      <Typed
        label="Search"
        value={q}
        onChange={(v) => change({ q: v })}
        placeholder="What the name begins with"
        width={280}
        search
      />
      <Problem error={list.error} retry={() => void list.refetch()} />
      {groups?.length === 0 ? (
        <Empty icon={IconUsersGroup} title={q ? `No group begins with “${q}”` : "There is no group yet"} />
      ) : (
        <Rows
          label="Groups"
          loading={list.isPending}
          columns={["Group", "Owner", "Members", "Waiting", "Running", "Made"]}
        >
          {groups?.map((g) => (
            <Table.Tr key={g.id}>
              <Table.Td miw={120} style={{ overflowWrap: "anywhere" }}>
                {g.name}
              </Table.Td>
              <Table.Td>{g.owner.username}</Table.Td>
              <Table.Td>{count(g.members)}</Table.Td>
              <Table.Td>{count(g.queued)}</Table.Td>
              <Table.Td>{count(g.running)}</Table.Td>
              <Table.Td>
                <TimeAgo at={g.created_at} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Rows>
      )}
      <More list={list} label="Show more groups" />
    </Stack>
  );
}
