import { useMediaQuery } from "@mantine/hooks";
import { memo } from "react";
import { Link } from "react-router";
import type { Device } from "../../api/queries/devices";
import { devicePage } from "../../ui/devicePage";
import { count, duration } from "../../ui/format";
import { PlainAgo } from "../../ui/TimeAgo";
import { placed, VirtualTable } from "../../ui/VirtualTable";
import { DeviceBadges } from "./badges";
import { actionsOf, type DeviceAction, nameOf, useDeviceActions } from "./DeviceActions";
import classes from "./FleetTable.module.css";

interface Props {
  devices: Device[];
  admin: boolean;
  loading: boolean;
  stale: boolean; // devices of the filter before
  more: boolean;
  loadMore: () => void;
  onTag: (tag: string) => void;
}

/** Devices as rows, of which only those in sight exist. */
export function FleetTable({ devices, admin, onTag, ...rest }: Props) {
  const { ask, dialog } = useDeviceActions();
  const tall = useMediaQuery("(max-width: 48em)") && admin; // the actions stand below
  const rowHeight = tall ? 96 : 56;
  return (
    <>
      <VirtualTable
        label="Devices"
        rows={devices}
        rowHeight={rowHeight}
        around={250}
        head={
          <tr aria-rowindex={1} className={columns(devices[0], admin)}>
            <th scope="col">Device</th>
            <th scope="col">Status</th>
            <th scope="col" className={classes.wide}>
              <span title="Failed syncs after the last one without errors">Failures in a row</span>
            </th>
            <th scope="col" className={classes.seen}>
              Last seen
            </th>
            <th scope="col" className={classes.wide}>
              Syncs
            </th>
            <th scope="col" className={classes.wide}>
              Usual interval
            </th>
            {admin && <td className={classes.actions} />}
          </tr>
        }
        row={(d, top, index) => (
          <Row key={d.device_id} device={d} top={top} index={index} admin={admin} ask={ask} onTag={onTag} />
        )}
        {...rest}
      />
      {dialog}
    </>
  );
}

/** The columns, with as much room as the actions take: all devices of a list are of one state. */
function columns(d: Device | undefined, admin: boolean): string {
  if (!admin) return classes.columns;
  return `${classes.columns} ${d && d.state !== "active" ? classes.accept : classes.edit}`;
}

interface RowProps {
  device: Device;
  top: number;
  index: number;
  admin: boolean;
  ask: (d: Device, action: DeviceAction) => void;
  onTag: (tag: string) => void;
}

const Row = memo(function Row({ device: d, top, index, admin, ask, onTag }: RowProps) {
  return (
    <tr {...placed(top, index)} className={`${classes.row} ${columns(d, admin)}`}>
      <td className={classes.two}>
        <Link to={devicePage(d.group, d.device_id)} className={classes.link} title={nameOf(d)}>
          {nameOf(d)}
        </Link>
        <span className={classes.small}>
          {d.name && <span className={classes.id}>{d.device_id}</span>}
          {d.tags.map((t) => (
            <button
              key={t}
              type="button"
              className={classes.tag}
              title={`Only those with the tag ${t}`}
              onClick={() => onTag(t)}
            >
              {t}
            </button>
          ))}
        </span>
      </td>
      <td>
        <DeviceBadges device={d} />
      </td>
      <td className={classes.wide}>{count(d.streak)}</td>
      <td className={classes.seen}>{d.last_seen_at ? <PlainAgo at={d.last_seen_at} /> : "never"}</td>
      <td className={`${classes.wide} ${classes.two}`}>
        <span>{count(d.totals.events)}</span>
        {d.totals.failed > 0 && <span className={classes.small}>{count(d.totals.failed)} failed</span>}
      </td>
      <td className={classes.wide}>
        {d.usual_interval_s === null ? "–" : duration(d.usual_interval_s * 1000)}
      </td>
      {admin && (
        <td className={classes.actions}>
          {actionsOf(d).map(({ action, label, hint }) => (
            <button
              key={action}
              type="button"
              className={classes.button}
              data-main={action === "accept" || undefined}
              aria-label={hint}
              onClick={() => ask(d, action)}
            >
              {label}
            </button>
          ))}
        </td>
      )}
    </tr>
  );
});
