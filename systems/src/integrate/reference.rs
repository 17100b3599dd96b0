use bevy_ecs::prelude::*;
#[derive(Resource, Default)] pub struct Reference;
pub fn advance() {}
