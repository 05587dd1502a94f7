import { Button, SimpleGrid, Skeleton, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPlus, IconSearch, IconUsersGroup } from "@tabler/icons-react";
import { useSearchParams } from "react-router";
import { useGroups } from "../../api/queries/groups";
import { Empty } from "../../ui/Empty";
import { Page } from "../../ui/Page";
import { Problem } from "../../ui/Problem";
import { GroupCard } from "./GroupCard";
import { Invitations } from "./Invitations";
import { NewGroup } from "./NewGroup";

export function Component() {
  const groups = useGroups();
  const [query, setQuery] = useSearchParams();
  const [making, { open, close }] = useDisclosure();
  const q = query.get("q") ?? "";
  const shown = groups.data?.filter((g) =>
    `${g.name}\n${g.description}`.toLowerCase().includes(q.toLowerCase()),
  );
  return (
    <Page
      title="Groups"
      actions={
        <Button leftSection={<IconPlus size={16} />} onClick={open}>
          New group
        </Button>
      }
    >
      <Invitations />
      <Problem error={groups.error} retry={() => void groups.refetch()} />
      {groups.data && groups.data.length > 0 && (
        <TextInput
          type="search"
          aria-label="Search groups"
          placeholder="Search groups"
          leftSection={<IconSearch size={16} />}
          value={q}
          onChange={(e) =>
            setQuery(e.currentTarget.value ? { q: e.currentTarget.value } : {}, { replace: true })
          }
          maw={360}
        />
      )}
      {groups.data?.length === 0 && (
        <Empty
          icon={IconUsersGroup}
          title="You are in no group yet"
          action={<Button onClick={open}>Make a group</Button>}
        >
          In a group, people lend their computers to each other's tasks. Make one and invite others, or ask
          somebody for an invitation.
        </Empty>
      )}
      {shown?.length === 0 && q !== "" && (
        <Empty
          icon={IconSearch}
          title={`No group matches “${q}”`}
          action={
            <Button variant="default" onClick={() => setQuery({})}>
              Show all groups
            </Button>
          }
        />
      )}
      <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }}>
        {groups.isPending && [1, 2, 3].map((n) => <Skeleton key={n} h={176} />)}
        {shown?.map((g) => (
          <GroupCard key={g.id} group={g} />
        ))}
      </SimpleGrid>
      <NewGroup opened={making} close={close} />
    </Page>
  );
}
