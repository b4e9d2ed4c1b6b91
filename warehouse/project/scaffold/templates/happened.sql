    from lines
[% if star.parent %]
    inner join documents on lines.[[ link ]] = documents.[[ parent_id ]]
[% endif %]
[% if star.event.found.is_nullable %]
    where [[ event ]] is not null
[% endif %]
