import { Stack, Table } from "@mantine/core";
import { IconUsersGroup } from "@tabler/icons-react";
import { useAllGroups } from "../../api/queries/admin";
import { useAddress } from "../../ui/address";
import { Empty } from "../../ui/Empty";
import { FilterBar } from "../../ui/FilterBar";
import { count } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { Search } from "../../ui/Search";
import { TimeAgo } from "../../ui/TimeAgo";

/** Every group of the installation. */
export function Component() {
  const q = useAddress()[0].get("q") ?? "";
  const list = useAllGroups(q);
  const groups = list.data?.pages.flatMap((p) => p.items);
  return (
    <Stack>
      <FilterBar>
        <Search placeholder="What the name begins with" />
      </FilterBar>
      <Listing
        of={list}
        items={groups}
        label="Groups"
        columns={["Group", "Owner", "Members", "Waiting", "Running", "Made"]}
        empty={
          <Empty icon={IconUsersGroup} title={q ? `No group begins with “${q}”` : "There is no group yet"} />
        }
        row={(g) => (
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
        )}
      />
      <More list={list} label="Show more groups" />
    </Stack>
  );
}
