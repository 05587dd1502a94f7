import { Button, Group } from "@mantine/core";
import { IconError404, IconPlugConnectedX } from "@tabler/icons-react";
import { Link, useRouteError } from "react-router";
import { ApiError, inWords } from "../api/error";
import { Empty } from "../ui/Empty";

/** What is shown in place of a page that broke. */
export function RouteError() {
  const error = useRouteError();
  if (error instanceof ApiError && error.status === 404) return <Lost />;
  const stale = error instanceof TypeError && /import|module/i.test(error.message);
  return (
    <Empty
      icon={IconPlugConnectedX}
      title={stale ? "Firmlight has a new version" : "This page could not be shown"}
      action={
        <Group justify="center">
          <Button onClick={() => location.reload()}>Reload</Button>
          <Button variant="default" component="a" href="/">
            Go to your groups
          </Button>
        </Group>
      }
    >
      {stale ? "Reload the page to get it." : inWords(error)}
    </Empty>
  );
}

/** The page for addresses that lead nowhere, and to what is not yours. */
export function Lost() {
  return (
    <Empty
      icon={IconError404}
      title="There is nothing here"
      action={
        <Button component={Link} to="/">
          Go to your groups
        </Button>
      }
    >
      It may have been deleted, or belong to a group that you are not in.
    </Empty>
  );
}
