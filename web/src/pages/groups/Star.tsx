import { ActionIcon } from "@mantine/core";
import { IconStar, IconStarFilled } from "@tabler/icons-react";
import { type Group, useStar } from "../../api/queries/groups";

/** The star of a group: those with one come first. */
export function Star({ group }: { group: Group }) {
  const star = useStar();
  return (
    <ActionIcon
      variant="subtle"
      color={group.starred ? "yellow.7" : "gray"}
      aria-label={`Star ${group.name}`}
      aria-pressed={group.starred}
      onClick={() => star.mutate({ id: group.id, starred: !group.starred })}
    >
      {group.starred ? <IconStarFilled size={18} /> : <IconStar size={18} />}
    </ActionIcon>
  );
}
