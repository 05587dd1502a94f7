import {
  ActionIcon,
  Anchor,
  AppShell,
  Avatar,
  Burger,
  Divider,
  Group,
  Menu,
  NavLink,
  ScrollArea,
  Text,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { spotlight } from "@mantine/spotlight";
import { IconLogout, IconSearch, IconStarFilled, IconUser } from "@tabler/icons-react";
import { useEffect } from "react";
import { Link, Navigate, Outlet, NavLink as RouterLink, useLocation } from "react-router";
import { accountActions } from "../api/queries/account";
import { useGroups } from "../api/queries/groups";
import { useUser, useWho } from "./auth";
import { Bell } from "./Bell";
import { ColourScheme } from "./ColourScheme";
import { Logo } from "./Logo";
import { Palette } from "./Palette";
import { placesOf } from "./places";
import { Reconnecting } from "./Reconnecting";

/** The frame of all pages for people who logged in; others are sent to the login and come back. */
export function Shell() {
  const who = useWho();
  const { pathname, search } = useLocation();
  if (who.state === "unknown") return null;
  if (who.state === "out") {
    const next = pathname + search;
    return <Navigate to={next === "/" ? "/login" : `/login?next=${encodeURIComponent(next)}`} replace />;
  }
  return <Frame />;
}

function Frame() {
  const [open, { toggle, close }] = useDisclosure();
  const { pathname } = useLocation();
  const user = useUser();
  const starred = useGroups().data?.filter((g) => g.starred) ?? [];
  // biome-ignore lint/correctness/useExhaustiveDependencies: the menu closes when the page changes
  useEffect(close, [pathname]);
  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{ width: 220, breakpoint: "sm", collapsed: { mobile: !open } }}
      padding="md"
      transitionDuration={0}
    >
      <a href="#main" className="skip">
        Skip to the page
      </a>
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="xs" wrap="nowrap">
            <Burger
              opened={open}
              onClick={toggle}
              hiddenFrom="sm"
              size="sm"
              aria-label="Menu"
              aria-expanded={open}
            />
            <Anchor
              component={Link}
              to="/"
              underline="never"
              c="var(--mantine-color-text)"
              aria-label="Firmlight, your groups"
            >
              <Group gap="xs" wrap="nowrap">
                <Logo />
                <Text fw={700} visibleFrom="xs">
                  Firmlight
                </Text>
              </Group>
            </Anchor>
          </Group>
          <Group gap={4} wrap="nowrap">
            <ActionIcon
              variant="subtle"
              color="gray"
              c="var(--mantine-color-text)"
              size="lg"
              aria-label="Go to (press /)"
              onClick={() => spotlight.open()}
            >
              <IconSearch size={20} />
            </ActionIcon>
            <Bell />
            <ColourScheme />
            <UserMenu name={user.username} />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" aria-label="Places">
        <ScrollArea>
          {placesOf(user).map((p) => (
            <NavLink
              key={p.to}
              component={RouterLink}
              to={p.to}
              end={p.to === "/"}
              label={p.label}
              leftSection={<p.icon size={18} />}
            />
          ))}
          {starred.length > 0 && <Divider my="xs" />}
          {starred.map((g) => (
            <NavLink
              key={g.id}
              component={RouterLink}
              to={`/groups/${g.id}`}
              label={g.name}
              leftSection={<IconStarFilled size={14} />}
            />
          ))}
        </ScrollArea>
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1}>
        <Outlet />
      </AppShell.Main>
      <Palette />
      <Reconnecting />
    </AppShell>
  );
}

function UserMenu({ name }: { name: string }) {
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" radius="xl" aria-label={`Account of ${name}`}>
          <Avatar size={28} color="flame" variant="filled" aria-hidden>
            {name.slice(0, 1).toUpperCase()}
          </Avatar>
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{name}</Menu.Label>
        <Menu.Item component={Link} to="/account" leftSection={<IconUser size={16} />}>
          Account
        </Menu.Item>
        <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => void accountActions.logout()}>
          Log out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
