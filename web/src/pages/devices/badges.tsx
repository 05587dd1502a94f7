import { Badge, Group } from "@mantine/core";
import {
  IconAlertTriangle,
  IconArchive,
  IconBellOff,
  IconCheck,
  IconHourglass,
  IconX,
} from "@tabler/icons-react";
import type { Device, SyncEvent } from "../../api/queries/devices";
import { StateBadge } from "../../ui/StateBadge";
import classes from "./FleetTable.module.css";

const states = {
  pending: { colour: "grape", icon: IconHourglass, label: "Waits for approval" },
  retired: { colour: "gray", icon: IconArchive, label: "Retired" },
  silent: { colour: "orange", icon: IconBellOff, label: "Silent" },
  failing: { colour: "red", icon: IconAlertTriangle, label: "Keeps failing" },
  failed: { colour: "red", icon: IconX, label: "Failed" },
  ok: { colour: "green", icon: IconCheck, label: "OK" },
  partial: { colour: "orange", icon: IconAlertTriangle, label: "Partial" },
} as const;

/** What there is to say of a device, the worst first. */
export function statesOf(
  d: Pick<Device, "state" | "silent" | "failing" | "status">,
): (keyof typeof states)[] {
  if (d.state !== "active") return [d.state];
  const news = [...(d.failing ? ["failing" as const] : []), ...(d.silent ? ["silent" as const] : [])];
  return news.length ? news : [d.status];
}

/** A device's state. */
export function DeviceBadges({ device }: { device: Device }) {
  return (
    <div className={classes.badges}>
      {statesOf(device).map((s) => (
        <StateBadge key={s} {...states[s]} />
      ))}
    </div>
  );
}

/** How a sync went. */
export function SyncBadge({ status }: { status: SyncEvent["status"] }) {
  return <StateBadge {...states[status]} />;
}

/** A device's tags. */
export function Tags({ tags }: { tags: string[] }) {
  if (tags.length === 0) return null;
  return (
    <Group gap={4} mt={4}>
      {tags.map((t) => (
        <Badge key={t} variant="default" size="sm" tt="none">
          {t}
        </Badge>
      ))}
    </Group>
  );
}
