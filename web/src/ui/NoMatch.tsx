import { Button } from "@mantine/core";
import type { Icon } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { Empty } from "./Empty";

interface Props {
  icon: Icon;
  title: string;
  clear: () => void; // takes the filters away
  children?: ReactNode;
}

/** A list of which the filters leave nothing. */
export function NoMatch({ icon, title, clear, children }: Props) {
  const action = (
    <Button variant="default" onClick={clear}>
      Clear the filters
    </Button>
  );
  return (
    <Empty icon={icon} title={title} action={action}>
      {children}
    </Empty>
  );
}
