import { Skeleton } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useEffect, useRef } from "react";
import { Link } from "react-router";
import type { Device } from "../../api/queries/devices";
import { devicePage } from "../../ui/devicePage";
import { ago, count, dateTime, duration } from "../../ui/format";
import { useNow } from "../../ui/TimeAgo";
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

const loadAhead = 60; // rows before the end at which more are read

/** Devices as rows, of which only those in sight exist. */
export function FleetTable({ devices, admin, loading, stale, more, loadMore, onTag }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const { ask, dialog } = useDeviceActions();
  const tall = useMediaQuery("(max-width: 48em)") && admin; // the actions stand below
  const rowHeight = tall ? 96 : 56;
  const list = useVirtualizer({
    count: devices.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: 6,
  });
  const items = list.getVirtualItems();
  const end = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (more && end > devices.length - loadAhead) loadMore();
  });
  useEffect(() => {
    if (rowHeight > 0) list.measure(); // those of another height are placed anew
  }, [list, rowHeight]);
  const height = Math.min(Math.max(devices.length, 3), 12) * rowHeight + 46;
  return (
    <div className={classes.frame} data-stale={stale || undefined}>
      <div
        ref={scroller}
        className={classes.scroller}
        style={{ height: `min(${height}px, max(320px, 100dvh - 250px))` }}
      >
        <table className={classes.table} aria-label="Devices" aria-rowcount={more ? -1 : devices.length + 1}>
          <thead>
            <tr aria-rowindex={1} className={classes.head} data-admin={devices[0] && room(devices[0], admin)}>
              <th scope="col">Device</th>
              <th scope="col">Status</th>
              <th scope="col" className={classes.wide}>
                <span title="Failed syncs after the last one without errors">Failures in a row</span>
              </th>
              <th scope="col">Last seen</th>
              <th scope="col" className={classes.wide}>
                Syncs
              </th>
              <th scope="col" className={classes.wide}>
                Usual interval
              </th>
              {admin && <td />}
            </tr>
          </thead>
          <tbody className={classes.body} style={{ height: list.getTotalSize() }}>
            {items.map((v) => {
              const device = devices[v.index];
              return (
                device && (
                  <Row
                    key={device.device_id}
                    device={device}
                    top={v.start}
                    index={v.index}
                    admin={admin}
                    ask={ask}
                    onTag={onTag}
                  />
                )
              );
            })}
          </tbody>
        </table>
        {loading &&
          [85, 70, 90, 60, 75].map((width) => (
            <div key={width} className={classes.skeleton}>
              <Skeleton height={16} width={`${width}%`} />
            </div>
          ))}
      </div>
      {dialog}
    </div>
  );
}

/** How much room the actions take: all devices of a list are of one state. */
const room = (d: Device, admin: boolean) => (admin ? (d.state === "active" ? "less" : "more") : undefined);

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
    <tr
      aria-rowindex={index + 2}
      className={classes.row}
      data-admin={room(d, admin)}
      style={{ transform: `translateY(${top}px)` }}
    >
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
      <td>{d.last_seen_at ? <Seen at={d.last_seen_at} /> : "never"}</td>
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

/** How long ago, without the tooltip's cost, as rows come by the hundred. */
function Seen({ at }: { at: string }) {
  const now = useNow();
  return (
    <time dateTime={at} title={dateTime(at)}>
      {ago(Math.min(Date.parse(at), now), now)}
    </time>
  );
}
