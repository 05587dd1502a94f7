import { Box, ScrollArea, Tabs } from "@mantine/core";
import { useEffect, useRef } from "react";
import { Outlet, useLocation, useNavigate } from "react-router";

interface Props {
  base: string; // the path above the tabs' own
  tabs: { value: string; label: string }[]; // value: the next part of the path
  variant?: "default" | "pills";
}

/** Tabs that are pages of their own; the one of the address is shown. */
export function RouteTabs({ base, tabs, variant = "default" }: Props) {
  const navigate = useNavigate();
  const at = useLocation()
    .pathname.slice(base.length + 1)
    .split("/")[0];
  const tab = at || tabs[0]?.value || null;
  const list = useRef<HTMLDivElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: on a phone the tab may be out of sight
  useEffect(() => {
    list.current?.querySelector("[data-active]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [tab]);
  return (
    <Tabs
      value={tab}
      onChange={(t) => t && void navigate(`${base}/${t}`)}
      keepMounted={false}
      variant={variant}
    >
      <ScrollArea type="never">
        <Tabs.List ref={list} style={{ flexWrap: "nowrap" }}>
          {tabs.map((t) => (
            <Tabs.Tab key={t.value} value={t.value}>
              {t.label}
            </Tabs.Tab>
          ))}
        </Tabs.List>
      </ScrollArea>
      <Tabs.Panel value={tab ?? ""}>
        <Box pt="md">
          <Outlet />
        </Box>
      </Tabs.Panel>
    </Tabs>
  );
}
