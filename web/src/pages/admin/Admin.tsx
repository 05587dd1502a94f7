import { useLiveAdmin } from "../../api/queries/admin";
import { useUser } from "../../app/auth";
import { adminPages } from "../../app/places";
import { Lost } from "../../app/RouteError";
import { Page } from "../../ui/Page";
import { RouteTabs } from "../../ui/RouteTabs";

/** The installation, for its administrators; to others there is nothing here. */
export function Component() {
  return useUser().admin ? <Admin /> : <Lost />;
}

function Admin() {
  useLiveAdmin();
  return (
    <Page title="Administration">
      <RouteTabs base="/admin" tabs={adminPages} />
    </Page>
  );
}
