import { useParams } from "react-router";
import { useLiveDevices } from "../../api/queries/devices";
import { RouteTabs } from "../../ui/RouteTabs";

const tabs = [
  { value: "fleet", label: "Fleet" },
  { value: "failures", label: "Repeated failures" },
  { value: "alerts", label: "Alerts" },
  { value: "rules", label: "Rules" },
];

/** The devices of a group, which report their syncs. */
export function Component() {
  const { group = "" } = useParams();
  return <Devices key={group} group={group} />;
}

function Devices({ group }: { group: string }) {
  useLiveDevices(group);
  return <RouteTabs base={`/groups/${group}/devices`} tabs={tabs} variant="pills" />;
}
