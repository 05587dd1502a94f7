import { Anchor, SegmentedControl, Stack, Table } from "@mantine/core";
import { IconAlertTriangle, IconBellOff, IconBellRinging, IconCheck } from "@tabler/icons-react";
import { Link, useParams } from "react-router";
import { type Alert, useAlerts } from "../../api/queries/devices";
import { useAddress } from "../../ui/address";
import { devicePage } from "../../ui/devicePage";
import { Empty } from "../../ui/Empty";
import { duration, plural } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { StateBadge } from "../../ui/StateBadge";
import { TimeAgo } from "../../ui/TimeAgo";
import { nameOf } from "./DeviceActions";

/** The group's alerts, newest first. */
export function Component() {
  const { group = "" } = useParams();
  const [params, change] = useAddress();
  const open = params.get("show") !== "all";
  const list = useAlerts(group, open);
  const alerts = list.data?.pages.flatMap((p) => p.items);
  return (
    <Stack>
      <SegmentedControl
        aria-label="Which alerts"
        w="fit-content"
        data={[
          { value: "open", label: "Open" },
          { value: "all", label: "All" },
        ]}
        value={open ? "open" : "all"}
        onChange={(v) => change({ show: v === "all" ? v : undefined })}
      />
      <Listing
        of={list}
        items={alerts}
        label="Alerts"
        columns={["Device", "What", "Since", "Told", "Over"]}
        empty={
          <Empty icon={IconCheck} title={open ? "Nothing is wrong" : "There was no alert yet"}>
            When a device keeps failing or falls silent, it is told here, to the group’s owner and admins, and
            to its webhook.{" "}
            <Anchor component={Link} to={`/groups/${group}/devices/rules`} underline="always">
              See the rules
            </Anchor>
          </Empty>
        }
        row={(a) => <Row key={a.id} alert={a} group={group} />}
      />
      <More list={list} label="Show older ones" />
    </Stack>
  );
}

function Row({ alert: a, group }: { alert: Alert; group: string }) {
  const failing = a.type === "failing";
  return (
    <Table.Tr>
      <Table.Td miw={150} maw={280} style={{ overflowWrap: "anywhere" }}>
        <Anchor component={Link} to={devicePage(group, a.device_id)} inherit>
          {nameOf(a)}
        </Anchor>
      </Table.Td>
      <Table.Td>
        <StateBadge
          colour={a.recovered_at ? "gray" : failing ? "red" : "orange"}
          icon={failing ? IconAlertTriangle : IconBellOff}
          label={failing ? `Failed ${plural(a.streak, "time")} in a row` : "Silent"}
        />
      </Table.Td>
      <Table.Td>
        <TimeAgo at={a.since} />
      </Table.Td>
      <Table.Td>
        <TimeAgo at={a.opened_at} />
      </Table.Td>
      <Table.Td>
        {a.recovered_at ? (
          <>
            <TimeAgo at={a.recovered_at} />, after{" "}
            {duration(Math.max(0, Date.parse(a.recovered_at) - Date.parse(a.opened_at)))}
          </>
        ) : (
          <StateBadge colour="red" icon={IconBellRinging} label="Not yet" />
        )}
      </Table.Td>
    </Table.Tr>
  );
}
